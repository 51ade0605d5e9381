"""Templates of a server."""

from mail_api.v2.crud import Crud
from mail_api.v2.models.templates import Template, TemplateCreate, TemplateUpdate
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.template import TEMPLATE

TEMPLATES = Crud(
    kind=TEMPLATE,
    tag="templates",
    path="/servers/{server}/templates",
    parameter="template",
    view=Template,
    create=TemplateCreate,
    update=TemplateUpdate,
    read_scope=Scope.TEMPLATES_READ,
    write_scope=Scope.TEMPLATES_WRITE,
    noun="template",
)

OPERATIONS = TEMPLATES.operations
