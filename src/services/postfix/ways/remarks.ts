/** What is odd about the ways of mail, for a look at the host before anything is planned. Pure. */
import {type Problem, problem} from '../../../domain/result.ts';
import {type Decision, sourceText} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Entrance} from '../../mta.ts';

/**
 * Problem ids: `postfix.override`, `postfix.milters-off`, `postfix.milter-maps`, `postfix.content-filter`,
 * `postfix.rewrites-later`, `postfix.instances`.
 *
 * @param directory configuration of the instance that waxseal serves
 */
export function remarksOn(entrances: readonly Entrance[], directory: string): readonly Problem[] {
  const [served] = entrances;
  const own = entrances.filter(({instance}) => instance === served?.instance);
  return [
    ...unlike(own),
    ...filters(own),
    ...switchedOff(own),
    ...byClient(own),
    ...onDelivery(own),
    ...others(entrances, own, directory),
  ];
}

/** Decisions of one place, once each: a setting of cleanup decides for several entrances. */
function once(decisions: readonly (Decision | undefined)[]): readonly Decision[] {
  const found = new Map<string, Decision>();
  for (const decision of decisions) {
    const key = decision === undefined ? '' : `${sourceText(decision.source)} ${decision.name}`;
    if (decision !== undefined && !found.has(key)) found.set(key, decision);
  }
  return [...found.values()];
}

const isIn = (name: string, {source}: Decision): boolean =>
  source.by === 'file' && source.path.endsWith(`/${name}`);

/** True where a milter sees the mail once it comes back from a filter, or may. */
const isSeenLater = ({passes, isPassUncertain}: Entrance): boolean =>
  (isPassUncertain && passes.at(-1)?.next !== undefined) ||
  passes.slice(1).some(({milters}) => !('fatal' in milters) && milters.length > 0);

/** Services whose own line in master.cf decides. Mail needs its milters on one side of a filter only. */
function unlike(entrances: readonly Entrance[]): readonly Problem[] {
  const winners = entrances.flatMap(entrance =>
    entrance.kind === 'way-back' || isSeenLater(entrance) ? [] : entrance.passes[0]?.decidedBy[0],
  );
  return once(winners)
    .filter(decision => isIn('master.cf', decision) && DECIDES.has(decision.name))
    .map(({name, value, says}) =>
      problem(
        'postfix.override',
        says,
        name.endsWith('milters') && value !== ''
          ? "The plan adds OpenDKIM to that list if it isn't there."
          : 'To have that mail signed, remove this option from master.cf.',
      ),
    );
}

const DECIDES: ReadonlySet<string> = new Set([
  'smtpd_milters',
  'non_smtpd_milters',
  'receive_override_options',
]);

function filters(entrances: readonly Entrance[]): readonly Problem[] {
  const all = entrances.flatMap(({passes}) => passes.map(pass => pass.next));
  return once(all.map(next => next?.decision)).map(decision =>
    problem(
      'postfix.content-filter',
      decision.name === 'smtpd_proxy_filter'
        ? decision.says
        : `Mail passes through the content filter ${decision.value}. It may come back to be signed twice, or be changed after signing.`,
      'If it comes back on a port of this host, the plan makes sure it is signed once. If it comes back by sendmail(1), it is signed again.',
    ),
  );
}

/** main.cf leads all mail around every list, so that no edit of them has an effect. */
function switchedOff(entrances: readonly Entrance[]): readonly Problem[] {
  return once(entrances.flatMap(({passes}) => passes[0]?.decidedBy[0]))
    .filter(decision => isIn('main.cf', decision) && decision.name === 'receive_override_options')
    .map(() =>
      problem(
        'postfix.milters-off',
        'receive_override_options in main.cf has no_milters, so no milter sees any mail and nothing is signed.',
        'Remove the word from main.cf. If it is for mail that comes back from a filter, set it for that service in master.cf.',
      ),
    );
}

function byClient(entrances: readonly Entrance[]): readonly Problem[] {
  const all = entrances.flatMap(({passes}) =>
    passes.flatMap(pass => pass.byClient.map(each => each.decision)),
  );
  return once(all).map(({value}) =>
    problem(
      'postfix.milter-maps',
      `smtpd_milter_maps (${value}) gives some clients milters of their own, in place of smtpd_milters.`,
      'If mail from those clients should be signed, name the socket of OpenDKIM in its rows, too.',
    ),
  );
}

function onDelivery(entrances: readonly Entrance[]): readonly Problem[] {
  const all = entrances.flatMap(({breakers}) => breakers.filter(({where}) => where === 'delivery'));
  const found = once(all.map(({decision}) => decision));
  if (found.length === 0) return [];
  const list = found.map(({name, source}) => `${name} (${sourceText(source)})`).join(', ');
  return [
    problem(
      'postfix.rewrites-later',
      `Postfix changes mail on delivery, after it was signed: ${list}. If that touches the body or a signed header, the signature breaks.`,
      'Rewrite before signing instead: canonical_maps, header_checks, body_checks.',
    ),
  ];
}

/** Other instances have a configuration, a queue and sockets of their own (MULTI_INSTANCE_README). */
function others(
  entrances: readonly Entrance[],
  own: readonly Entrance[],
  directory: string,
): readonly Problem[] {
  const names = [...new Set(entrances.filter(one => !own.includes(one)).map(({instance}) => instance))];
  if (names.length === 0) return [];
  const shown = names.map(name => {
    const passes = entrances.filter(({instance}) => instance === name).flatMap(one => one.passes);
    const lists = passes.flatMap(({milters}) => ('fatal' in milters ? [] : milters.map(({text}) => text)));
    const list = [...new Set(lists)].join(', ');
    return `${name} (${list === '' ? 'no milters' : list})`;
  });
  return [
    problem(
      'postfix.instances',
      `There are more Postfix instances: ${shown.join('; ')}. waxseal serves only the one in ${visible(directory)}.`,
      'Sign in one of them only: the one that hands mail to the world, or the one that takes it in.',
    ),
  ];
}
