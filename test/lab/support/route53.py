"""Reads a change batch as `aws route53 change-resource-record-sets` would: botocore's own model of the service checks it
and makes the request, which is printed as JSON. Nothing is sent."""
import json
import sys
import xml.etree.ElementTree as tree

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

model = ServiceModel(Loader().load_service_model('route53', 'service-2'), 'route53')
operation = model.operation_model('ChangeResourceRecordSets')
request = {'HostedZoneId': 'Z0000000000000', 'ChangeBatch': json.load(sys.stdin)}
errors = ParamValidator().validate(request, operation.input_shape)
if errors.has_errors():
    json.dump({'errors': errors.generate_report()}, sys.stdout)
    sys.exit(0)
body = create_serializer(model.metadata['protocol']).serialize_to_request(request, operation)['body']
text = lambda name: [each.text for each in tree.fromstring(body).iter() if each.tag.endswith('}' + name)]
json.dump({'errors': '', 'action': text('Action'), 'name': text('Name'), 'type': text('Type'), 'ttl': text('TTL'),
           'value': text('Value')}, sys.stdout)
