"""How the gateways do."""

from joulegate_db.beats import gateways
from joulegate_db.reader import Reader
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.schemas import Gateway, Gateways, answer


def gateway_operations(reader: Reader) -> list[Operation]:
    """What answers from `reader`."""

    async def list_gateways(_: Parameters) -> Gateways:
        return await all_gateways(reader)

    return [
        Operation(
            method="GET",
            path="/v1/gateways",
            handler=list_gateways,
            tag="operations",
            summary="The gateways, alive or not",
            description="Each says every five seconds how it does. One that has left for good (`joulegate gateway --leave`) is not listed.",
            answer=Gateways,
            codes=DATABASE_CODES,
        )
    ]


async def all_gateways(reader: Reader) -> Gateways:
    """The gateways as they are on the wire.

    Raises:
        what every method of the reader raises.
    """
    return Gateways(tuple(answer(Gateway, one) for one in await gateways(reader)))
