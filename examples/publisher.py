#!/usr/bin/env python3
"""A device that sends its temperature and speed over MQTT, QoS 1: the smallest publisher Sluice is made for.

    python3 examples/publisher.py --count 10

Works with paho-mqtt 1.x and 2.x (pip install -r examples/requirements.txt).
"""
import argparse
import json
import math
import random
import sys
import time

import paho.mqtt.client as mqtt

DEVICE_ID = "device-123"
TOPIC = f"t/demo/d/{DEVICE_ID}/telemetry"
ACK_TIMEOUT_S = 10


def new_client() -> mqtt.Client:
    """paho-mqtt 2 wants to be told which callbacks it is used with; 1 does not know the question."""
    versions = getattr(mqtt, "CallbackAPIVersion", None)
    if versions is None:
        return mqtt.Client(client_id=DEVICE_ID)
    return mqtt.Client(versions.VERSION2, client_id=DEVICE_ID)


def reading(seq: int) -> dict:
    now = time.time()
    return {
        "deviceId": DEVICE_ID,
        "ts": int(now * 1000),
        "seq": seq,
        "tempC": round(21 + 3 * math.sin(now / 60) + random.uniform(-0.2, 0.2), 2),
        "rpm": 1200 + random.randint(-20, 20),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Send telemetry of one device to an MQTT broker.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--count", type=int, default=0, help="messages to send; 0 (the default): until interrupted")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between messages")
    args = parser.parse_args()

    client = new_client()
    try:
        client.connect(args.host, args.port, keepalive=30)
    except OSError as error:
        print(f"cannot reach {args.host}:{args.port}: {error}", file=sys.stderr)
        return 1
    client.loop_start()
    seq = 0
    try:
        while args.count == 0 or seq < args.count:
            payload = json.dumps(reading(seq))
            message = client.publish(TOPIC, payload, qos=1)
            message.wait_for_publish(ACK_TIMEOUT_S)
            if not message.is_published():
                print(f"message {seq} was not acknowledged within {ACK_TIMEOUT_S} s", file=sys.stderr)
                return 1
            print(f"{TOPIC} {payload}", flush=True)
            seq += 1
            if args.count == 0 or seq < args.count:
                time.sleep(args.interval)
    except KeyboardInterrupt:
        pass
    finally:
        client.disconnect()
        client.loop_stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
