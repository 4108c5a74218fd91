"""The steps around every request: authentication, rate limit and role check before it, metrics after it."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import cast

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from algosat.api.access import needed_role
from algosat.api.application import ApiRequest
from algosat.api.input_texts import screen_address
from algosat.api.problems import answer_to
from algosat.api.route_policy import RoutePolicy
from algosat.api.routes import Route
from algosat.config.live import LiveSettings
from algosat.errors import Forbidden, Unauthenticated
from algosat.monitoring import metrics
from algosat.resilience import bulkhead
from algosat.resilience.error_log import ErrorLog
from algosat.security.authenticator import Authenticator
from algosat.security.principals import Principal, Role
from algosat.security.rate_limit import ClientLimiter

_log = structlog.get_logger(__name__)


class Lifecycle:
    """Hooks that the application runs before and after each request, and on an error."""

    def __init__(
        self,
        routes: Iterable[Route],
        live: LiveSettings,
        authenticator: Authenticator,
        limiter: ClientLimiter,
        errors: ErrorLog,
    ) -> None:
        control = live.files.security.access_control
        self._policies = {
            route.endpoint: RoutePolicy(
                route.method, route.path, needed_role(route.path, route.access, control), route.limited
            )
            for route in routes
        }
        self._no_route = RoutePolicy("any", "(none)", None, limited=True)
        self._live = live
        self._debug = live.files.algosat.debug
        self._largest_body = live.files.algosat.api.max_body_bytes
        self._authenticator = authenticator
        self._limiter = limiter
        self._errors = errors

    def attach(self, app: Flask) -> None:
        """Register the hooks."""
        app.before_request(self._begin)
        app.after_request(self._finish)
        app.register_error_handler(Exception, self._answer)

    def _begin(self) -> None:
        incoming: ApiRequest = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        incoming.started = perf_counter()
        rule = incoming.url_rule
        policy = incoming.policy = self._no_route if rule is None else self._policies[rule.endpoint]
        bulkhead.current.set(policy.precedence)
        screen_address(incoming)
        if (incoming.content_length or 0) > self._largest_body:
            raise RequestEntityTooLarge
        incoming.caller = self._admit(policy, incoming)

    def _admit(self, policy: RoutePolicy, incoming: ApiRequest) -> Principal | None:
        """Return the caller, or None on a public route.

        A request without a valid token counts towards its address's rate before it is refused.
        """
        settings = self._live.current
        caller, refusal = None, None
        if policy.role is not None:
            try:
                rules = settings.security.authentication
                caller = self._authenticator.identify(incoming.environ.get("HTTP_AUTHORIZATION"), rules)
            except Unauthenticated as error:
                refusal = error
        if policy.limited or refusal is not None:
            limits = settings.algosat.security
            client = f"address:{incoming.remote_addr}" if caller is None else caller.actor
            self._limiter.hit(client, limits.rate_limit_requests, limits.rate_limit_window)
        if refusal is not None:
            metrics.SECURITY_EVENTS.labels("token_refused").inc()
            raise refusal
        if caller is not None and policy.role is not None and not caller.role.covers(policy.role):
            metrics.SECURITY_EVENTS.labels("forbidden").inc()
            raise Forbidden(f"The role {policy.role} is required; {caller.name} has the role {caller.role}")
        return caller

    def _answer(self, error: Exception) -> Response:
        incoming = cast(ApiRequest, request)
        caller = incoming.caller
        is_admin = caller is not None and caller.role is Role.ADMIN
        answer = answer_to(error, show_exception=self._debug and is_admin)
        if answer.status_code >= 500:
            self._errors.record(error, incoming.policy.path, seconds=perf_counter() - incoming.started)
        return answer

    def _finish(self, response: Response) -> Response:
        incoming: ApiRequest = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        settings = self._live.current.algosat.monitoring
        status, seconds = response.status_code, perf_counter() - incoming.started
        self._errors.count_request(status, seconds)
        if settings.metrics_enabled:
            incoming.policy.count(status, seconds if settings.performance_monitoring else None)
        if status >= 400 or incoming.method not in ("GET", "HEAD"):
            _log_request(incoming, status, seconds)
        return response


def _log_request(incoming: ApiRequest, status: int, seconds: float) -> None:
    desk = incoming.desk
    about = {} if desk is None else {"account": desk.account, "mode": desk.mode}
    _log.info(
        "request",
        method=incoming.method,
        path=incoming.policy.path,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        caller=incoming.caller.actor if incoming.caller else incoming.remote_addr,
        **about,
    )
