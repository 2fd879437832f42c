"""A small Hugging Face hub on loopback, for the real client, with faults that tests switch on."""

import base64
import hashlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_good"  # noqa: S105 - of this server only


class FakeHub:
    """Repositories by name, and the faults to play.

    Attributes:
        calls: method and path of each request.
        private: repositories that only ``TOKEN`` opens.
        gated: repositories that ask for consent first.
        corrupt: files that arrive with a flipped bit.
        cut: after how many bytes of a file the connection is cut, for each time in turn.
        busy: files that are answered with 503 when their content is asked for.
        stall: files that stop in the middle until ``resume`` is set.
        waiting: counts the downloads that have stopped.
        drop: ends of paths whose request gets no answer, for each time in turn.
        foreign: answers like any web server that is no hub.
    """

    def __init__(self):
        self.calls = []
        self.branches = {}
        self.commits = {}
        self.uploads = {}
        self.private, self.gated, self.corrupt, self.busy, self.stall = (set() for _ in range(5))
        self.cut, self.drop = {}, []
        self.foreign = False
        self.waiting, self.resume = threading.Semaphore(0), threading.Event()
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self})
        )
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.resume.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo, files, branch="main"):
        """Commits files (path: bytes) to a branch, and returns the commit."""
        branches = self.branches.setdefault(repo, {})
        content = {**self.commits.get((repo, branches.get(branch)), {}), **files}
        text = repr((repo, len(self.commits), sorted(content)))
        commit = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        branches[branch] = commit
        self.commits[repo, commit] = content
        return commit

    def files(self, repo, branch="main"):
        return self.commits[repo, self.branches[repo][branch]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.route()

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.route()

    def do_PUT(self):
        self.route()

    def route(self):
        hub, path = self.hub, unquote(self.path.split("?")[0])
        hub.calls.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for end in hub.drop:
            if path.endswith(end):
                hub.drop.remove(end)
                self.hang_up()
                return
        if hub.foreign:
            self.answer(200, b"<html>Please log in to the hotel's network</html>")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(*match.groups())
        elif self.command == "PUT" and path.startswith("/lfs/"):
            hub.uploads[path.rsplit("/", 1)[1]] = body
            self.answer(200)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif path == "/api/repos/create":
            wish = json.loads(body)
            repo = f"{wish['organization']}/{wish['name']}"
            known = repo in hub.branches
            if not known:
                hub.add(repo, {".gitattributes": b"*.onnx filter=lfs\n"})
                if wish.get("private") or wish.get("visibility") == "private":
                    hub.private.add(repo)
            self.answer_json(409 if known else 200, {"url": f"{hub.url}/{repo}"})
        elif path == "/api/validate-yaml":
            self.answer_json(200, {"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            modes = [
                {"path": f["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if f["path"].endswith(".onnx") else "regular"}
                for f in json.loads(body)["files"]
            ]  # fmt: skip
            self.answer_json(200, {"files": modes})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{hub.url}/lfs/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            self.answer_json(200, {"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            self.commit(*match.groups(), body)
        else:
            self.refuse(404, "RepoNotFound", "Repository not found")

    def commit(self, repo, branch, body):
        files = {}
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                files[item["value"]["path"]] = self.hub.uploads[item["value"]["oid"]]
        oid = self.hub.add(repo, files, branch)
        url = f"{self.hub.url}/{repo}/commit/{oid}"
        self.answer_json(200, {"commitUrl": url, "commitOid": oid, "success": True})

    def resolve(self, repo, revision, file):
        hub = self.hub
        if repo in hub.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repo in hub.gated:
            self.refuse(403, "GatedRepo", "Access to this model is restricted")
        elif repo not in hub.branches:
            self.refuse(404, "RepoNotFound", "Repository not found")
        elif (repo, commit := hub.branches[repo].get(revision, revision)) not in hub.commits:
            self.refuse(404, "RevisionNotFound", "Invalid rev id")
        elif file not in (files := hub.commits[repo, commit]):
            self.refuse(404, "EntryNotFound", "Entry not found")
        else:
            self.send_file(file, files[file], commit)

    def send_file(self, file, content, commit):
        hub = self.hub
        etag = hashlib.sha256(content).hexdigest()
        if file in hub.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0")) or 0)
        if self.command == "GET" and file in hub.busy:
            self.answer(503)
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        content = content[start:]
        if hub.cut.get(file):
            self.wfile.write(content[: hub.cut[file].pop(0)])
            self.hang_up()
        elif file in hub.stall:
            half = len(content) // 2
            self.wfile.write(content[:half])
            self.wfile.flush()
            hub.waiting.release()
            hub.resume.wait(30)
            try:
                self.wfile.write(content[half:])
            except OSError:  # the client was killed
                self.close_connection = True
        else:
            self.wfile.write(content)

    def answer_json(self, status, content):
        self.answer(status, json.dumps(content).encode())

    def refuse(self, status, code, message):
        self.answer(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def answer(self, status, content=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang_up(self):
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
