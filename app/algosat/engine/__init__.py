"""The engine's process, the only one that calls a broker.

`router` decides which created orders are sent, and `sender` sends them. `pending_requests` carries
out cancels and modifications. `report_processor` applies the broker's order reports, and
`reconciler` compares the broker's order book with ours. `schedule` runs periodic duties. `assembly`
builds these parts, `engine` runs their threads, and `main` is the process.
"""
