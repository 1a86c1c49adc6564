"""
A client of ECTrans, written from what is known of its wire: REQ or DEALER to one port, SUB on the other.

    ectrans-client.py PORT PORT_OUT  < {"socket", "style", "tid", "texts", "batch", "late"}

Prints what it was answered and what arrived, as one line of JSON.

    socket   "REQ", "DEALER"
    style    "task": all texts in one message {"tid", "texts", "length"}
             "batches": messages {"id": "<tid>_<i>", "texts"} of `batch` texts each
    late     seconds until it subscribes, after it has sent
"""
import json
import sys
import time

import zmq

port, port_out = (int(word) for word in sys.argv[1:3])
told = json.load(sys.stdin)
tid, texts = told["tid"], told["texts"]
context = zmq.Context()

collector = context.socket(zmq.SUB)
collector.setsockopt(zmq.RCVTIMEO, 60_000)


def subscribe():
    key = "client_id" if told["style"] == "task" else "id"
    collector.setsockopt(zmq.SUBSCRIBE, ('{"%s":"%s' % (key, tid)).encode())
    collector.connect("tcp://127.0.0.1:%d" % port_out)


late = told.get("late")
if late is None:
    subscribe()
sender = context.socket(zmq.REQ if told["socket"] == "REQ" else zmq.DEALER)
sender.setsockopt(zmq.RCVTIMEO, 60_000)
sender.connect("tcp://127.0.0.1:%d" % port)

replies = []


def send(message):
    sender.send_json(message)
    replies.append(b"|".join(sender.recv_multipart()).decode())


if told["style"] == "task":
    send({"tid": tid, "texts": texts, "length": len(texts)})
else:
    batch = told["batch"]
    for i in range(0, len(texts), batch):
        send({"id": "%d_%d" % (tid, i // batch), "texts": texts[i : i + batch]})
if late is not None:
    time.sleep(late)
    subscribe()

results = []
heads = []
while len(results) < len(texts):
    raw = collector.recv()
    heads.append(raw[:40].decode(errors="replace"))
    results.extend(json.loads(raw)["result"])
print(json.dumps({"replies": replies, "results": results, "heads": heads}))
context.destroy(linger=0)
