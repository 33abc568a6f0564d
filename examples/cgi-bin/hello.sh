#!/bin/sh
# Where it all began: a program answers a request. It is told all about it in its environment. In examples/:
#
#   greenwsgi --cgi /cgi-bin=cgi-bin --cgi-helper .py=python3
#
# and then http://127.0.0.1:8000/cgi-bin/hello.sh
echo "Content-Type: text/plain"
echo
echo "hello from sh, to $REMOTE_ADDR"
env | sort
