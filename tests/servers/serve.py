#!/usr/bin/env python3
"""A real CalDAV server for the tests: Radicale or Xandikos, with the users alice and bob, on loopback.

    serve.py radicale|xandikos < PIPE

The standard input holds one line of JSON first: `{"name": "password", ...}`. Xandikos knows each user by the address
name@example.org; Radicale knows no addresses. Once the server takes connections, one line with its port and the
directory of its storage is printed. It ends, and its storage with it, when the standard input ends: so it never outlives
the process that started it, however that ends.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading


def announce(port, directory):
    print(port, os.path.join(directory, "data"), flush=True)


def radicale(directory, htpasswd, _users):
    """Radicale by its own server, on any free port."""
    from radicale import config, server

    class Announced(server.ParallelHTTPServer):
        def __init__(self, configuration, family, address, handler):
            # The configuration takes no port 0.
            super().__init__(configuration, family, (address[0], 0), handler)
            announce(self.server_address[1], directory)

    server.ParallelHTTPServer = Announced
    configuration = config.load()
    configuration.update(
        {
            "server": {"hosts": "127.0.0.1:1", "max_connections": "0"},
            "auth": {"type": "htpasswd", "htpasswd_filename": htpasswd, "htpasswd_encryption": "plain", "delay": "0"},
            "storage": {"filesystem_folder": os.path.join(directory, "data")},
            "logging": {"level": "warning"},
        },
        "tests",
    )
    server.serve(configuration)


def xandikos(directory, htpasswd, users):
    """Xandikos for several users. Its own command has Basic only with TLS and leaves the rest to a proxy."""
    from aiohttp import web
    from xandikos.htpasswd import HtpasswdFile
    from xandikos.multi_user import MultiUserFilesystemBackend, MultiUserXandikosApp
    from xandikos.web import WELLKNOWN_DAV_PATHS, RedirectDavHandler, basic_auth_middleware

    data = os.path.join(directory, "data")
    os.mkdir(data)
    backend = MultiUserFilesystemBackend(data)
    for name in users:
        backend.set_principal(name)
        backend.get_resource(f"/{name}/").set_calendar_user_address_set([f"mailto:{name}@example.org"])
    dav = MultiUserXandikosApp(backend, current_user_principal="/%(REMOTE_USER)s/")

    async def handle(request):
        return await dav.aiohttp_handler(request, "/")

    app = web.Application(middlewares=[basic_auth_middleware(HtpasswdFile(htpasswd))])
    for path in WELLKNOWN_DAV_PATHS:
        app.router.add_route("*", path, RedirectDavHandler("/").__call__)
    app.router.add_route("*", "/{path_info:.*}", handle)

    async def serve():
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        announce(runner.addresses[0][1], directory)
        await asyncio.Event().wait()

    asyncio.run(serve())


def hashed(name, password):
    """A line of a password file as Xandikos takes it."""
    digest = hashlib.sha1(password.encode()).digest()
    return f"{name}:{{SHA}}{base64.b64encode(digest).decode()}\n"


SERVERS = {
    "radicale": (radicale, lambda name, password: f"{name}:{password}\n"),
    "xandikos": (xandikos, hashed),
}


def main():
    serve, line = SERVERS[sys.argv[1]]
    users = json.loads(sys.stdin.readline())
    directory = tempfile.mkdtemp(prefix="meetbridge-server-")

    def end():
        sys.stdin.read()
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    htpasswd = os.path.join(directory, "users")
    with open(htpasswd, "w", encoding="utf-8") as file:
        file.writelines(line(name, password) for name, password in users.items())
    try:
        serve(directory, htpasswd, users)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
