"""
A client of bert-as-service 1.10 that was written from the protocol's facts, for tests: it behaves as the original does, sockets,
frames, checks and waits included. Driven by lines of JSON on standard input; each is answered by one line on standard output.

  {"op": "open", "name": "a", "port": 5555, "portOut": 5556, "identity": null}     identity null: a new UUID
  {"op": "encode", "name": "a", "texts": [...], "showTokens": false}
  {"op": "send", "name": "a", "texts": [...]}          without waiting; the reply has the request id
  {"op": "fetch", "name": "a", "ids": [3, 2]}          their replies, in whatever order they come
  {"op": "status", "name": "a"}
  {"op": "close", "name": "a"}
  {"op": "fresh", "port": …, "portOut": …, "count": 200, "threads": 8, "texts": [...]}     clients that connect, encode once and go
  {"op": "threads", "port": …, "portOut": …, "clients": 8, "rounds": 5, "texts": [...]}    clients that stay and encode all at once
"""
import base64
import hashlib
import json
import sys
import threading
import uuid

import numpy as np
import zmq

VERSION = "1.10.0"


class Client:
    def __init__(self, port, port_out, identity=None, timeout_ms=30000):
        self.identity = (identity or str(uuid.uuid4())).encode("ascii")
        self.context = zmq.Context()
        self.sender = self.context.socket(zmq.PUSH)
        self.sender.setsockopt(zmq.LINGER, 0)
        self.sender.connect("tcp://127.0.0.1:%d" % port)
        self.receiver = self.context.socket(zmq.SUB)
        self.receiver.setsockopt(zmq.LINGER, 0)
        self.receiver.setsockopt(zmq.SUBSCRIBE, self.identity)
        self.receiver.connect("tcp://127.0.0.1:%d" % port_out)
        # The original waits for ever; a test must end.
        self.receiver.setsockopt(zmq.RCVTIMEO, timeout_ms)
        self.last_id = 0
        self.waiting = {}
        self.config = self.ask(b"SHOW_CONFIG")
        if self.config["server_version"] != VERSION:
            raise AttributeError("version mismatch! server version is %s but client version is %s!" % (self.config["server_version"], VERSION))

    def close(self):
        self.sender.close()
        self.receiver.close()
        self.context.term()

    def send(self, message, length):
        self.last_id += 1
        self.sender.send_multipart([self.identity, message, b"%d" % self.last_id, b"%d" % length])
        return self.last_id

    def receive(self, request_id=None):
        if request_id is not None and request_id in self.waiting:
            return request_id, self.waiting.pop(request_id)
        while True:
            frames = self.receiver.recv_multipart()
            got = int(frames[-1])
            if request_id is None or got == request_id:
                return got, frames
            self.waiting[got] = frames

    def ask(self, command):
        return json.loads(self.receive(self.send(command, 0))[1][1])

    def array(self, frames):
        info = json.loads(frames[1])
        array = np.frombuffer(frames[2], dtype=str(info["dtype"]))
        return array.reshape(info["shape"]), info.get("tokens", "")

    def send_texts(self, texts):
        return self.send(json.dumps(texts, ensure_ascii=False).encode("utf-8"), len(texts))

    def encode(self, texts):
        return self.array(self.receive(self.send_texts(texts))[1])


def told(array, tokens):
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"shape": list(array.shape), "dtype": str(array.dtype), "data": data, "tokens": tokens}


def hashed(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def in_threads(count, work):
    failed = []

    def guarded(index):
        try:
            work(index)
        except Exception as error:
            failed.append("%s: %s" % (type(error).__name__, error))

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def fresh(order):
    hashes = []

    def work(index):
        for _ in range(index, order["count"], order["threads"]):
            client = Client(order["port"], order["portOut"])
            try:
                hashes.append(hashed(client.encode(order["texts"])[0]))
            finally:
                client.close()

    failed = in_threads(order["threads"], work)
    return {"answered": len(hashes), "hashes": sorted(set(hashes)), "failed": failed}


def together(order):
    hashes = []

    def work(_):
        client = Client(order["port"], order["portOut"])
        try:
            for _ in range(order["rounds"]):
                hashes.append(hashed(client.encode(order["texts"])[0]))
        finally:
            client.close()

    failed = in_threads(order["clients"], work)
    return {"answered": len(hashes), "hashes": sorted(set(hashes)), "failed": failed}


clients = {}


def obey(order):
    op = order["op"]
    if op == "open":
        clients[order["name"]] = Client(order["port"], order["portOut"], order.get("identity"), order.get("timeoutMs", 30000))
        return {"config": clients[order["name"]].config}
    if op == "fresh":
        return fresh(order)
    if op == "threads":
        return together(order)
    client = clients[order["name"]]
    if op == "encode":
        return told(*client.encode(order["texts"]))
    if op == "send":
        return {"id": client.send_texts(order["texts"])}
    if op == "fetch":
        replies = {}
        for request_id in order["ids"]:
            _, frames = client.receive(request_id)
            replies[str(request_id)] = told(*client.array(frames))
        return {"replies": replies}
    if op == "status":
        return {"status": client.ask(b"SHOW_STATUS")}
    if op == "close":
        clients.pop(order["name"]).close()
        return {}
    raise ValueError("no such op: %s" % op)


def main():
    for line in sys.stdin:
        try:
            reply = obey(json.loads(line))
        except Exception as error:
            reply = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
