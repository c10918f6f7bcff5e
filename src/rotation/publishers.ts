/** Which program keeps the records of a domain: remembered where it was given, forgotten where a person takes over. */
import type {PublishChoice} from '../dns/publish/index.ts';
import type {DomainName} from '../domain/names.ts';
import type {RotationState} from './entry.ts';

/** The program that was given last for a domain; undefined where a person enters the records. */
export const publisherOf = (state: RotationState, domain: DomainName): PublishChoice | undefined =>
  state.publishers?.find(each => each.domain === domain)?.publish;

/** Remembers the choice for the domains; `manual` forgets the one before. */
export function withPublisher(
  state: RotationState,
  domains: readonly DomainName[],
  publish: PublishChoice,
): RotationState {
  const others = (state.publishers ?? []).filter(({domain}) => !domains.includes(domain));
  const {publishers: _before, ...rest} = state;
  const publishers =
    publish.by === 'manual' ? others : [...others, ...domains.map(domain => ({domain, publish}))];
  return publishers.length === 0 ? rest : {...rest, publishers};
}
