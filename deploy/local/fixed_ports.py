"""Fixed ports of the stack that `make up` starts. Other stacks, such as those of tests, use free ports."""

FIXED_PORTS = {
    "kafka": 9092,
    "kafka.controller": 9093,
    "kafka-2": 9094,
    "kafka-2.controller": 9095,
    "kafka-3": 9096,
    "kafka-3.controller": 9097,
    "mongo": 27017,
    "s3.s3": 8333,
    "s3.master": 9333,
    "s3.volume": 9340,
    "s3.filer": 9888,
    "s3.admin": 9646,
    "modal": 8191,
    "comfyui": 8192,
    "fal": 8193,
    "api": 8080,
    "notifier": 8081,
    "prompt_builder": 8082,
    "dispatcher": 8083,
    "gateways.modal": 8084,
    "gateways.comfyui": 8085,
    "gateways.fal": 8086,
    "result_store": 8087,
    "characters": 8088,
}
"""Port by process name, with a suffix for each further listener of a process."""
