import {generateKeyPairSync, type KeyObject} from 'node:crypto';
import type {DnsName, DomainName, Selector} from '../../src/domain/names.ts';
import {keyRecordName, parseDomain, parseSelector} from '../../src/domain/names.ts';
import {verifyAgainst} from '../support/known-records.ts';

export const domainOf = (text: string): DomainName => {
  const parsed = parseDomain(text);
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.value;
};

export const selectorOf = (text: string): Selector => {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.value;
};

/** A new RSA key pair with the record that publishes it. */
export function makeKey(): {readonly key: KeyObject; readonly record: string} {
  const {privateKey, publicKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  const der = publicKey.export({type: 'spki', format: 'der'});
  return {key: privateKey, record: `v=DKIM1; k=rsa; p=${der.toString('base64')}`};
}

/** A lookup that knows one record. */
export const publishing = (domain: DomainName, selector: Selector, record: string) => {
  const records: Record<DnsName, string> = {};
  records[keyRecordName(selector, domain)] = record;
  return verifyAgainst(records);
};
