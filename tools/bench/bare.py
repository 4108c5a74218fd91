"""The bare application for comparison: a Flask application that takes JSON and answers JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from flask import Flask, Response, jsonify, request

from algosat.api.server import Server
from algosat.config.live import LiveSettings
from algosat.config.loader import load
from algosat.config.settings import Settings


def application() -> Flask:
    app = Flask("bare")

    @app.post("/orders")
    def orders() -> Response:
        body = request.get_json()
        return jsonify(symbol=body["symbol"], side=body["side"], quantity=body["quantity"])

    @app.get("/")
    def index() -> Response:
        return jsonify(name="bare")

    return app


def main() -> None:
    """`python -m tools.bench.bare DIRECTORY PORT`: serve it with that configuration's settings."""
    directory, port = sys.argv[1:]
    live = LiveSettings(_on_port(load(Path(directory)), int(port)), tuple)
    Server(live, application).run()


def _on_port(settings: Settings, port: int) -> Settings:
    api = settings.algosat.api.model_copy(update={"port": port})
    return settings.model_copy(update={"algosat": settings.algosat.model_copy(update={"api": api})})


if __name__ == "__main__":
    main()
