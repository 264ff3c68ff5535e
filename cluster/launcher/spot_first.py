"""Which node type Ray's autoscaler starts next: spot, and on-demand for as long as spot is not to be had.

Ray 2.60 has no such fallback of its own. Both of its autoscalers take the best match again at once when EC2
has just refused it: v1's default score leaves the refusals unread, v2 counts only machines that never come
up. v1 keeps every refusal for 30 minutes, and RAY_AUTOSCALER_UTILIZATION_SCORER replaces its score.
"""

from typing import Any

from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer

SPOT = "_spot"  # how the names of node types on spot end in aws.yaml


def score(
    node_resources: dict[str, float],
    demands: list[dict[str, float]],
    node_type: str,
    *,
    node_availability_summary: NodeAvailabilitySummary,
) -> tuple[Any, ...] | None:
    """Ray's own score, after whether EC2 gave the type, and before whether it is on spot; the highest wins.

    Ray's first element keeps GPUs for work that needs one, and stays the first: a refusal of CPU nodes must
    not start L4s.
    """
    scored = _default_utilization_scorer(
        node_resources, demands, node_type, node_availability_summary=node_availability_summary
    )
    if scored is None:
        return None
    refused = node_availability_summary.node_availabilities.get(node_type)
    to_be_had = refused is None or refused.is_available
    return (scored[0], to_be_had, *scored[1:], node_type.endswith(SPOT))
