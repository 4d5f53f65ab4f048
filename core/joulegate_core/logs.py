"""Structured logs: one JSON object a line (or coloured lines for a person), also for what libraries log.

Event names are constant; what varies is bound as fields. Payloads and URLs are never logged.
"""

import logging
import sys
from typing import Literal

import structlog


def configure_logging(style: Literal["json", "console"], *, component: str, level: int = logging.INFO) -> None:
    """Sets up structlog and the standard library's logging to write to standard error.

    Args:
        style: `json` for machines, `console` for people.
        component: bound to every record as `component`.
        level: records below it are dropped.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("asyncio", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiomqtt").setLevel(logging.CRITICAL)  # the subscriber reports what happens to a connection
    structlog.contextvars.bind_contextvars(component=component)
