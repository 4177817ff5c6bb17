"""Serves `app.application` on the unix socket given as the only argument."""

import os
import signal
import sys
import threading
from socketserver import ThreadingMixIn, UnixStreamServer
from wsgiref.simple_server import WSGIRequestHandler

from app import application


class Handler(WSGIRequestHandler):
    def setup(self):
        # A peer on a unix socket has no address, and wsgiref wants one.
        self.client_address = ("unix", 0)
        super().setup()

    def log_message(self, *args):
        pass


class Server(ThreadingMixIn, UnixStreamServer):
    request_queue_size = 511
    # On SIGTERM, what is being answered is answered to its end.
    daemon_threads = False
    block_on_close = True
    base_environ = {"SERVER_NAME": "tiny", "SERVER_PORT": "80", "SCRIPT_NAME": "", "GATEWAY_INTERFACE": "CGI/1.1"}

    def get_app(self):
        return application


def main():
    path = sys.argv[1]
    if os.path.exists(path):
        os.unlink(path)
    server = Server(path, Handler, bind_and_activate=False)
    server.base_environ = {**Server.base_environ, "REMOTE_HOST": "", "CONTENT_LENGTH": ""}
    server.server_bind()
    os.chmod(path, 0o777)
    server.server_activate()

    def stop(*_):
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    print("tiny serves", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


main()
