"""The bill of materials of a release: CycloneDX, as JSON, the same for the same parts."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from release.parts import Part

SCHEMA: Final = SchemaVersion.V1_6


class InvalidBill(Exception):
    """What was made is not what the schema of CycloneDX allows."""


def render_bill(version: str, parts: Iterable[Part], epoch: int) -> str:
    """Give the bill, as it was at ``epoch``, the time of the release's commit.

    Raises:
        InvalidBill: the schema does not allow it.

    """
    ours = Part("agentgather", version, f"pkg:pypi/agentgather@{version}", "MIT", ())
    root = _component(ours, ComponentType.APPLICATION)
    components = [_component(part, ComponentType.LIBRARY) for part in parts]
    bom = Bom(components=components)
    # Not the time of the run and no random number: the same release gives the same bytes.
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{ours.purl}#{epoch}")
    bom.metadata.component = root
    bom.register_dependency(root, components)
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2) + "\n"
    check_bill(text)
    return text


def check_bill(text: str) -> None:
    """Hold a bill to the schema that the library carries.

    Raises:
        InvalidBill: it is none.

    """
    fault = JsonStrictValidator(SCHEMA).validate_str(text)
    if fault is not None:
        raise InvalidBill(str(fault))


def _component(part: Part, kind: ComponentType) -> Component:
    return Component(
        name=part.name,
        version=part.version,
        type=kind,
        bom_ref=part.purl,
        purl=PackageURL.from_string(part.purl),
        licenses=[LicenseFactory().make_from_string(part.licence)],
        external_references=_files(part),
        components=[_component(one, ComponentType.LIBRARY) for one in part.inside],
    )


def _files(part: Part) -> list[ExternalReference]:
    """Name the files on PyPI, of which pip takes the one that fits the machine."""
    if not part.hashes:
        return []
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in part.hashes]
    url = f"https://pypi.org/project/{part.name}/{part.version}/#files"
    kind = ExternalReferenceType.DISTRIBUTION
    return [ExternalReference(type=kind, url=XsUri(url), hashes=hashes)]
