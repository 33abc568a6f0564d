"""What a request costs: processor time of greenwsgi beside that of gevent's own StreamServer, measured in one run."""
