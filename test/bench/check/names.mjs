/**
 * A name server for the bench: a resolver and two authoritative servers in one process, with a key record for every domain
 * of two labels. Arguments: the text of the record, the address of the resolver, those of the servers. Each line on
 * standard input is answered with the number of queries since the last one.
 */
import {createSocket} from 'node:dgram';
import process from 'node:process';
import packet from 'dns-packet';

const [record = '', resolver, ...servers] = process.argv.slice(2);
const strings = record.match(/.{1,255}/g) ?? [];
const SERVER = /^ns([12])\.servers\.test$/;

const soa = name => ({
  ...{name, type: 'SOA', ttl: 300},
  data: {
    ...{mname: 'ns1.servers.test', rname: 'h.servers.test', serial: 1},
    ...{refresh: 3600, retry: 600, expire: 86_400, minimum: 60},
  },
});

function answersTo({name, type}) {
  const lower = name.toLowerCase();
  const isApex = lower.split('.').length === 2 && lower !== 'servers.test';
  const server = SERVER.exec(lower)?.[1];
  if (isApex && type === 'NS')
    return servers.map((_, at) => ({name, type, ttl: 300, data: `ns${at + 1}.servers.test`}));
  if (isApex && type === 'SOA') return [soa(name)];
  if (server !== undefined && type === 'A') return [{name, type, ttl: 300, data: servers[server - 1]}];
  const isKey = lower.startsWith('s1._domainkey.') && type === 'TXT';
  return isKey ? [{name, type, ttl: 300, data: strings}] : [];
}

let queries = 0;
for (const address of [resolver, ...servers]) {
  const own = address === resolver ? packet.RECURSION_AVAILABLE : packet.AUTHORITATIVE_ANSWER;
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    queries += 1;
    const {id, questions} = packet.decode(query);
    const [question] = questions;
    const answers = answersTo(question);
    const authorities = answers.length > 0 ? [] : [soa(question.name.split('.').slice(-2).join('.'))];
    const flags = own | packet.RECURSION_DESIRED;
    const answer = packet.encode({type: 'response', id, flags, questions, answers, authorities});
    socket.send(answer, from.port, from.address);
  });
  socket.bind(53, address);
}
process.stdin.on('data', () => {
  process.stdout.write(`${queries}\n`);
  queries = 0;
});
