/** Has records entered by the program that was chosen, where they belong: at the end of an alias, if there is one. */
import {surveyOnce} from '../../dns/authoritative.ts';
import {recordForms, relativeTo} from '../../dns/forms.ts';
import {type PublishChoice, publishRecord, type RecordChange} from '../../dns/publish/index.ts';
import type {Survey} from '../../dns/survey.ts';
import {fail, ok, problem, type Result} from '../../domain/result.ts';
import type {Ports} from '../../system/ports.ts';
import type {PublishedRecord, StagedDomain} from '../operations.ts';
import type {WorkOptions} from './options.ts';

const TTL_SECONDS = 3600;

/** One record after the other: publishers that write files must not meet themselves. Stops at the first that fails. */
export async function publishAll(
  ports: Ports,
  options: WorkOptions,
  choice: PublishChoice,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Result<readonly PublishedRecord[]>> {
  const done: PublishedRecord[] = [];
  for (const each of staged) {
    const subject = {name: each.record.absoluteName, expected: each.record.value, zone: each.zone};
    const survey = await surveyOnce(ports, subject, {resolvers: options.resolvers, signal, explain: false});
    if (survey.agreed) {
      done.push({domain: each.domain, outcome: 'there', name: subject.name});
      continue;
    }
    const change = changeFor(each, survey);
    const published = await publishRecord(ports, choice, change, {environment: options.environment, signal});
    if (!published.ok) {
      const {id, message, hint} = published.problem;
      return fail(problem(id, `${change.name} was not entered: ${message}`, hint));
    }
    done.push({domain: each.domain, outcome: 'published', name: change.name});
  }
  return ok(done);
}

function changeFor(staged: StagedDomain, survey: Survey): RecordChange {
  const target = survey.targets?.at(-1);
  const name = target?.name ?? survey.name;
  const zone = target?.zone ?? survey.zone;
  const views = target?.servers ?? survey.servers;
  const forms = recordForms({apex: zone.apex, name, value: staged.record.value, ttlSeconds: TTL_SECONDS});
  return {
    action: 'add',
    domain: staged.domain,
    selector: staged.selector,
    name,
    zone: zone.apex,
    relativeName: relativeTo(name, zone.apex),
    value: forms.value,
    quoted: forms.zoneFile.slice(forms.zoneFile.indexOf('"')),
    ttlSeconds: TTL_SECONDS,
    replaces: views.some(({records}) => records.length > 0),
    primary: zone.primary,
    servers: zone.servers,
  };
}
