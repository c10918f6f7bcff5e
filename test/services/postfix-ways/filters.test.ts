/** What happens before and after a signature, and on the way through filters, as it was seen at a sink behind a real Postfix. */
import {describe, expect, it} from 'vitest';
import type {Entrance, Submitter} from '../../../src/services/mta.ts';
import {remarksOn} from '../../../src/services/postfix/ways/remarks.ts';
import {entranceOf, type Given, listOf, passOf, placeOf, waysOf} from './host.ts';

const A = 'inet:127.0.0.1:9001';
const ON = `smtpd_milters = ${A}\nnon_smtpd_milters = ${A}\n`;
const FILTER = `${ON}content_filter = scan:[127.0.0.1]:10024\n`;
const SCAN = 'scan unix - - n - 10 smtp\n';
const BACK = '127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n';
const SILENT = `${BACK}  -o receive_override_options=no_milters,no_address_mappings,no_header_body_checks\n`;

/** Lists of the passes, each with whether a milter there sees the message. */
const passes = (one: Entrance): readonly string[] =>
  one.passes.map(
    pass => `${pass.service} ${pass.client}${pass.hasContent ? '' : ' envelope'}: ${listOf(pass)}`,
  );

describe('filters and ways back', () => {
  const rows: readonly (readonly [string, Given, string, readonly string[], boolean])[] = [
    [
      'content_filter to smtpd without milters',
      {main: FILTER, master: `${SCAN}${BACK}  -o smtpd_milters=\n`},
      'smtp/inet',
      [`smtp/inet remote: ${A}`, '127.0.0.1:10025/inet localhost: '],
      false,
    ],
    [
      'content_filter to smtpd with no_milters',
      {main: FILTER, master: SCAN + SILENT},
      'smtp/inet',
      [`smtp/inet remote: ${A}`, '127.0.0.1:10025/inet localhost: '],
      false,
    ],
    [
      'content_filter to smtpd without override',
      {main: FILTER, master: SCAN + BACK},
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'local mail goes through it as well',
      {main: FILTER, master: SCAN + BACK},
      'local',
      [`cleanup/unix localhost: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'a way back that is not bound to loopback',
      {main: FILTER, master: `${SCAN}10025 inet n - n - - smtpd\n  -o content_filter=\n`},
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `10025/inet localhost: ${A}`],
      false,
    ],
    [
      'a filter of one service only',
      {
        main: ON,
        master: `${SCAN}smtp inet n - y - - smtpd\n  -o content_filter=scan:127.0.0.1:10024\n${BACK}`,
      },
      'local',
      [`cleanup/unix localhost: ${A}`],
      false,
    ],
    [
      'a service that goes around the filter',
      {main: FILTER, master: `${SCAN}${BACK}submission inet n - y - - smtpd\n  -o content_filter=\n`},
      'submission/inet',
      [`submission/inet remote: ${A}`],
      false,
    ],
    [
      'a pipe that calls sendmail(1)',
      {
        main: ON,
        master:
          'smtp inet n - y - - smtpd\n  -o content_filter=spam:dummy\nspam unix - n n - - pipe flags=Rq user=spamd argv=/usr/bin/spamc -f -e /usr/sbin/sendmail -oi -f $sender\n',
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `cleanup/unix localhost: ${A}`],
      false,
    ],
    [
      'a pipe to a script',
      {
        main: ON,
        master:
          'smtp inet n - y - - smtpd\n  -o content_filter=spam:dummy\nspam unix - n n - - pipe flags=Rq user=spamd argv=/usr/local/bin/filter.sh\n',
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `cleanup/unix localhost: ${A}`],
      true,
    ],
    [
      'a pipe whose mail pickup does not filter',
      {
        main: ON,
        master:
          'smtp inet n - y - - smtpd\n  -o content_filter=spam:dummy\nspam unix - n n - - pipe argv=/usr/sbin/sendmail\npickup unix n - y 60 1 pickup\n  -o receive_override_options=no_milters\n',
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`, 'pickup/unix localhost: '],
      false,
    ],
    [
      'smtpd_proxy_filter to smtpd without milters',
      {
        main: ON,
        master: `smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n${BACK}  -o smtpd_milters=\n`,
      },
      'smtp/inet',
      [`smtp/inet remote envelope: ${A}`, '127.0.0.1:10025/inet localhost: '],
      false,
    ],
    [
      'smtpd_proxy_filter to smtpd with milters',
      {main: ON, master: `smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n${BACK}`},
      'smtp/inet',
      [`smtp/inet remote envelope: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'a proxy filter that main.cf names does not count for its way back',
      {main: `${ON}smtpd_proxy_filter = 127.0.0.1:10024\n`, master: `${BACK}  -o smtpd_proxy_filter=\n`},
      'smtp/inet',
      [`smtp/inet remote envelope: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'a filter on another host',
      {main: `${ON}content_filter = scan:[192.0.2.7]:10024\n`, master: SCAN + BACK},
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      true,
    ],
    [
      'a filter without a way back here',
      {main: FILTER, master: SCAN},
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      true,
    ],
    [
      'a transport that is not there',
      {main: FILTER, master: BACK},
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      true,
    ],
    [
      'two ways back that differ',
      {
        main: FILTER,
        master: `${SCAN}${BACK}127.0.0.1:10026 inet n - n - - smtpd\n  -o content_filter=\n  -o smtpd_milters=\n`,
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      true,
    ],
    [
      'two ways back that are alike',
      {main: FILTER, master: `${SCAN}${BACK}127.0.0.1:10026 inet n - n - - smtpd\n  -o content_filter=\n`},
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'the port of the filter itself',
      {
        main: FILTER,
        master: `${SCAN}${BACK}127.0.0.1:10024 inet n - n - - smtpd\n  -o content_filter= -o smtpd_milters=\n`,
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`, `127.0.0.1:10025/inet localhost: ${A}`],
      false,
    ],
    [
      'a filter that throws mail away',
      {main: `${ON}content_filter = discard:\n`, master: 'discard unix - - n - - discard\n'},
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      false,
    ],
    [
      'header_checks that send single messages to a filter',
      {
        main: `${ON}header_checks = regexp:/r\n`,
        tables: {'regexp:/r': '/^X-Scan:/ FILTER scan:[127.0.0.1]:10024\n'},
      },
      'smtp/inet',
      [`smtp/inet remote: ${A}`],
      true,
    ],
    [
      'a circle',
      {main: `${ON}content_filter = spam:\n`, master: 'spam unix - n n - - pipe argv=/usr/sbin/sendmail\n'},
      'local',
      [`cleanup/unix localhost: ${A}`],
      true,
    ],
  ];
  it.each(rows)('%s', (_, given, id, wanted, isUncertain) => {
    const one = entranceOf(given, id);
    expect([passes(one), one.isPassUncertain]).toEqual([wanted, isUncertain]);
  });

  it('names where mail goes, and why', () => {
    const one = entranceOf({main: FILTER, master: SCAN + BACK}, 'smtp/inet');
    expect(one.passes[0]?.next).toMatchObject({by: 'filter', to: 'scan:[127.0.0.1]:10024'});
    expect(one.passes[0]?.next?.decision.says).toBe(
      'content_filter in main.cf is scan:[127.0.0.1]:10024: mail goes there after the milters have seen it.',
    );
    expect(one.passes[1]?.next).toBeUndefined();
    const proxy = `smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n${BACK}`;
    expect(entranceOf({main: ON, master: proxy}, 'smtp/inet').passes[0]?.next?.by).toBe('proxy');
  });

  it('loses the login on the way back', () => {
    const given = {main: `${FILTER}smtpd_sasl_auth_enable = yes\n`, master: SCAN + BACK};
    const [first, second] = entranceOf(given, 'smtp/inet').passes;
    expect(first?.macros.mail.has('{auth_type}')).toBe(true);
    expect(second?.macros.mail.has('{auth_type}')).toBe(false);
  });

  it('has programs that call sendmail(1) among the entrances', () => {
    const list = 'list unix - n n - - pipe flags=R user=list argv=/usr/sbin/sendmail -oi\n';
    expect(entranceOf({main: ON, master: list}, 'list/unix')).toMatchObject({kind: 'pipe', login: 'no'});
    const other =
      'uucp unix - n n - - pipe flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail\n';
    expect(waysOf({main: ON, master: other}).map(({id}) => id)).not.toContain('uucp/unix');
  });
});

describe('what changes a message after it was signed', () => {
  const told = ({breakers}: Entrance) =>
    breakers.map(
      ({decision, where, changes, isCertain}) =>
        `${decision.name} ${where} ${changes}${isCertain ? ' certain' : ''}`,
    );
  const tables = (text: string) => ({'regexp:/r': text});
  const rows: readonly (readonly [string, Given, readonly string[]])[] = [
    ['nothing', {main: ON}, []],
    [
      'what comes before the milters',
      {
        main: `${ON}header_checks = regexp:/r\nbody_checks = regexp:/r\ncanonical_maps = inline:{a@b=c@d}\nalways_bcc = x\n`,
        tables: tables('/^Subject:/ REPLACE Subject: x\n/y/ STRIP\n'),
      },
      [],
    ],
    [
      'header_checks that hold',
      {main: `${ON}header_checks = regexp:/r\n`, tables: tables('/^Received:/ HOLD\n')},
      ['header_checks hold body'],
    ],
    [
      'milter_header_checks on signatures',
      {main: `${ON}milter_header_checks = regexp:/r\n`, tables: tables('/^DKIM-Signature:/ IGNORE\n')},
      ['milter_header_checks later-milter removes-signature certain'],
    ],
    [
      'milter_header_checks on one signature',
      {
        main: `${ON}milter_header_checks = regexp:/r\n`,
        tables: tables('/^DKIM-Signature: .*d=x/ REPLACE X: y\n'),
      },
      ['milter_header_checks later-milter removes-signature'],
    ],
    [
      'milter_header_checks on another header',
      {main: `${ON}milter_header_checks = regexp:/r\n`, tables: tables('/^X-Spam:/ IGNORE\n')},
      [],
    ],
    [
      'milter_header_checks that cannot be read',
      {main: `${ON}milter_header_checks = ldap:x\n`},
      ['milter_header_checks later-milter removes-signature'],
    ],
    ['milter_header_checks without a milter', {main: 'milter_header_checks = ldap:x\n'}, []],
    [
      'a small header_size_limit',
      {main: `${ON}header_size_limit = 200\n`},
      ['header_size_limit later-milter removes-signature certain'],
    ],
    [
      'a header_size_limit that long signatures pass',
      {main: `${ON}header_size_limit = 1000\n`},
      ['header_size_limit later-milter removes-signature'],
    ],
    [
      'smtp_generic_maps',
      {main: `${ON}smtp_generic_maps = hash:/g\n`},
      ['smtp_generic_maps delivery header'],
    ],
    [
      'smtp_header_checks on Subject',
      {main: `${ON}smtp_header_checks = regexp:/r\n`, tables: tables('/^Subject:/ REPLACE Subject: x\n')},
      ['smtp_header_checks delivery header certain'],
    ],
    [
      'smtp_header_checks on some subjects',
      {
        main: `${ON}smtp_header_checks = regexp:/r\n`,
        tables: tables('/^Subject: secret/ REPLACE Subject: x\n'),
      },
      ['smtp_header_checks delivery header'],
    ],
    [
      'smtp_header_checks on Received',
      {
        main: `${ON}smtp_header_checks = regexp:/r\n`,
        tables: tables('/^Received:/ IGNORE\n/^X-Mailer:/ IGNORE\n/^User-Agent:/ STRIP\n'),
      },
      [],
    ],
    [
      'smtp_header_checks that strip',
      {main: `${ON}smtp_header_checks = regexp:/r\n`, tables: tables('/^Reply-To:/ STRIP\n')},
      ['smtp_header_checks delivery header'],
    ],
    [
      'smtp_header_checks that put something before',
      {main: `${ON}smtp_header_checks = regexp:/r\n`, tables: tables('/^From:/ PREPEND X-A: b\n')},
      [],
    ],
    [
      'smtp_header_checks on signatures',
      {main: `${ON}smtp_header_checks = regexp:/r\n`, tables: tables('/^DKIM-Signature:/ IGNORE\n')},
      ['smtp_header_checks delivery removes-signature certain'],
    ],
    [
      'smtp_mime_header_checks that cannot be read',
      {main: `${ON}smtp_mime_header_checks = pcre:/p\n`},
      ['smtp_mime_header_checks delivery header'],
    ],
    [
      'smtp_nested_header_checks',
      {
        main: `${ON}smtp_nested_header_checks = regexp:/r\n`,
        tables: tables('/^Content-Type:/ REPLACE Content-Type: x\n'),
      },
      ['smtp_nested_header_checks delivery header'],
    ],
    [
      'smtp_body_checks',
      {main: `${ON}smtp_body_checks = regexp:/r\n`, tables: tables('/secret/ REPLACE x\n')},
      ['smtp_body_checks delivery body'],
    ],
    [
      'smtp_body_checks that warn',
      {main: `${ON}smtp_body_checks = regexp:/r\n`, tables: tables('/secret/ WARN\n')},
      [],
    ],
    [
      'smtp_never_send_ehlo',
      {main: `${ON}smtp_never_send_ehlo = yes\n`},
      ['smtp_never_send_ehlo delivery body'],
    ],
    ['short lines', {main: `${ON}smtp_line_length_limit = 500\n`}, ['smtp_line_length_limit delivery body']],
    ['lines of any length', {main: `${ON}smtp_line_length_limit = 0\n`}, []],
    [
      'what another smtp service has of its own',
      {main: ON, master: 'relay unix - - y - - smtp\n  -o smtp_generic_maps=hash:/g\n'},
      ['smtp_generic_maps delivery header'],
    ],
    [
      'what the smtp service has of its own',
      {
        main: `${ON}smtp_generic_maps = hash:/g\n`,
        master: 'smtp unix - - y - - smtp\n  -o smtp_generic_maps=\n',
      },
      [],
    ],
    [
      'what the client of the filter has',
      {main: FILTER, master: `scan unix - - n - 10 smtp\n  -o smtp_generic_maps=hash:/g\n${SILENT}`},
      ['content_filter filter body'],
    ],
    [
      'a later milter that changes mail',
      {main: `smtpd_milters = ${A} inet:localhost:11332\n`},
      ['smtpd_milters later-milter body'],
    ],
    ['the same milter in front', {main: `smtpd_milters = inet:localhost:11332 inet:localhost:8891\n`}, []],
    [
      'a later milter that is not known',
      {main: `smtpd_milters = ${A} inet:localhost:7777\n`},
      ['smtpd_milters later-milter body'],
    ],
    [
      'a later signer',
      {
        main: `smtpd_milters = ${A} unix:opendkim/opendkim.sock inet:localhost:8891 unix:milter-greylist/milter-greylist.sock\n`,
      },
      [],
    ],
    ['a later milter that judges', {main: `smtpd_milters = ${A} inet:localhost:8893\n`}, []],
    ['a filter', {main: FILTER, master: SCAN + SILENT}, ['content_filter filter body']],
    [
      'header_checks again on the way back',
      {
        main: `${FILTER}header_checks = regexp:/r\n`,
        master: `${SCAN}${BACK}  -o smtpd_milters=\n`,
        tables: tables('/^Subject:/ REPLACE Subject: x\n'),
      },
      ['content_filter filter body', 'header_checks second-pass header'],
    ],
    [
      'mime_header_checks again on the way back',
      {
        main: `${FILTER}mime_header_checks = regexp:/r\n`,
        master: `${SCAN}${BACK}  -o smtpd_milters=\n`,
        tables: tables('/^Content-Type:/ REPLACE Content-Type: x\n'),
      },
      ['content_filter filter body', 'mime_header_checks second-pass header'],
    ],
    [
      'header_checks not again',
      {
        main: `${FILTER}header_checks = regexp:/r\n`,
        master: SCAN + SILENT,
        tables: tables('/^Subject:/ REPLACE Subject: x\n'),
      },
      ['content_filter filter body'],
    ],
    [
      'canonical_maps on the way back',
      {main: `${FILTER}canonical_maps = inline:{@a=@b}\n`, master: `${SCAN}${BACK}  -o smtpd_milters=\n`},
      ['content_filter filter body', 'canonical_maps second-pass header'],
    ],
  ];
  it.each(rows)('%s', (_, given, wanted) => {
    expect(told(entranceOf(given, 'smtp/inet'))).toEqual(wanted);
  });

  it('names the setting with its line', () => {
    const [one] = entranceOf({main: `${ON}smtp_generic_maps = hash:/g\n`}, 'local').breakers;
    expect(one === undefined ? '' : placeOf(one.decision)).toBe('main.cf:5 smtp_generic_maps');
    expect(one?.decision.says).toBe(
      'smtp_generic_maps in main.cf rewrites addresses in headers on delivery, after mail was signed.',
    );
  });

  it('says of a later milter which one it is', () => {
    const [one] = entranceOf({main: `smtpd_milters = ${A} inet:localhost:11332\n`}, 'smtp/inet').breakers;
    expect(one?.after).toEqual({pass: 0, milter: 1});
  });

  it('does not count rewriting again that came before the signature', () => {
    const given = {
      main: `${FILTER}canonical_maps = inline:{@a=@b}\n`,
      master: `${SCAN}${BACK}  -o smtpd_milters=\n`,
    };
    expect(told(entranceOf(given, 'local'))).toEqual(['content_filter filter body']);
  });

  it('is nothing for mail that no milter of its own sees', () => {
    expect(entranceOf({main: `${ON}smtp_generic_maps = hash:/g\n`}, 'forward').breakers).toEqual([]);
  });
});

describe('how a sender is rewritten before it is signed', () => {
  const through = (given: Given, address: string, id = 'local', by?: Submitter, at = 0) => {
    let now = address;
    for (const {rewrite} of passOf(given, id, at).rewrites) {
      const next = rewrite(now, by);
      if (next === 'unknown') return next;
      now = next ?? now;
    }
    return now;
  };
  const rows: readonly (readonly [string, Given, string, string])[] = [
    ['nothing', {}, 'a@example.com', 'a@example.com'],
    ['a bare name', {}, 'alice', 'alice@mail.example.com'],
    ['a bare name with myorigin', {main: 'myorigin = $mydomain\n'}, 'alice', 'alice@example.com'],
    [
      'myorigin of a file',
      {main: 'myorigin = /etc/mailname\n', tables: {'/etc/mailname': 'example.net\n'}},
      'alice',
      'alice@example.net',
    ],
    ['a host without a domain', {main: 'append_dot_mydomain = yes\n'}, 'a@web', 'a@web.example.com'],
    [
      'canonical_maps, an address',
      {main: 'canonical_maps = inline:{a@example.com=b@example.org}\n'},
      'A@example.com',
      'b@example.org',
    ],
    [
      'canonical_maps, a domain',
      {main: 'canonical_maps = inline:{@example.com=@example.org}\n'},
      'a@example.com',
      'a@example.org',
    ],
    [
      'canonical_maps, the address before the domain',
      {main: 'canonical_maps = inline:{@example.com=@x.test, a@example.com=a@y.test}\n'},
      'a@example.com',
      'a@y.test',
    ],
    [
      'canonical_maps, a local name',
      {main: 'canonical_maps = inline:{root=admin@example.com}\n'},
      'root@mail.example.com',
      'admin@example.com',
    ],
    [
      'canonical_maps, a name elsewhere',
      {main: 'canonical_maps = inline:{root=admin@example.com}\n'},
      'root@other.test',
      'root@other.test',
    ],
    [
      'canonical_maps, an extension',
      {main: 'recipient_delimiter = +\ncanonical_maps = inline:{a@example.com=b@example.org}\n'},
      'a+x@example.com',
      'b+x@example.org',
    ],
    [
      'canonical_maps, twice',
      {main: 'canonical_maps = inline:{a@b.test=c@d.test, c@d.test=e@f.test}\n'},
      'a@b.test',
      'e@f.test',
    ],
    [
      'canonical_maps, in a circle',
      {main: 'canonical_maps = inline:{a@b.test=c@d.test, c@d.test=a@b.test}\n'},
      'a@b.test',
      'unknown',
    ],
    [
      'canonical_maps of cleanup',
      {master: 'cleanup unix n - y - 0 cleanup\n  -o canonical_maps=inline:{@a.test=@b.test}\n'},
      'x@a.test',
      'x@b.test',
    ],
    [
      'canonical_maps for recipients only',
      {
        main: 'canonical_maps = inline:{@a.test=@b.test}\ncanonical_classes = envelope_recipient, header_recipient\n',
      },
      'x@a.test',
      'x@a.test',
    ],
    [
      'recipient_canonical_maps',
      {main: 'recipient_canonical_maps = inline:{@a.test=@b.test}\n'},
      'x@a.test',
      'x@a.test',
    ],
    [
      'sender_canonical_maps before canonical_maps',
      {main: 'sender_canonical_maps = inline:{@a.test=@b.test}\ncanonical_maps = inline:{@b.test=@c.test}\n'},
      'x@a.test',
      'x@c.test',
    ],
    ['a table that cannot be read', {main: 'canonical_maps = ldap:x\n'}, 'x@a.test', 'unknown'],
    [
      'a regular expression that is text',
      {main: 'canonical_maps = regexp:/r\n', tables: {'regexp:/r': '/@a\\.test$/ x@b.test\n'}},
      'y@a.test',
      'x@b.test',
    ],
    [
      'a regular expression, which is not asked for a domain',
      {main: 'canonical_maps = regexp:/r\n', tables: {'regexp:/r': '/^@a\\.test$/ @b.test\n'}},
      'y@a.test',
      'y@a.test',
    ],
    [
      'a regular expression that is none',
      {main: 'canonical_maps = regexp:/r\n', tables: {'regexp:/r': '/^(.*)@a$/ $1@b\n'}},
      'y@a',
      'unknown',
    ],
    [
      'masquerade_domains',
      {main: 'masquerade_domains = example.com\n'},
      'a@web.example.com',
      'a@example.com',
    ],
    [
      'masquerade_domains, itself',
      {main: 'masquerade_domains = example.com\n'},
      'a@example.com',
      'a@example.com',
    ],
    [
      'masquerade_domains, itself before a parent',
      {main: 'masquerade_domains = web.example.com example.com\n'},
      'a@web.example.com',
      'a@web.example.com',
    ],
    [
      'masquerade_domains, kept',
      {main: 'masquerade_domains = !web.example.com example.com\n'},
      'a@x.web.example.com',
      'a@x.web.example.com',
    ],
    [
      'masquerade_exceptions',
      {main: 'masquerade_domains = example.com\nmasquerade_exceptions = root\n'},
      'root@web.example.com',
      'root@web.example.com',
    ],
    [
      'masquerade_classes',
      {main: 'masquerade_domains = example.com\nmasquerade_classes = envelope_sender\n'},
      'a@web.example.com',
      'a@web.example.com',
    ],
    [
      'canonical_maps before masquerade_domains',
      {main: 'masquerade_domains = example.com\ncanonical_maps = inline:{@a.test=@web.example.com}\n'},
      'x@a.test',
      'x@example.com',
    ],
    [
      'no_address_mappings of pickup',
      {
        main: 'canonical_maps = inline:{@a.test=@b.test}\n',
        master: 'pickup unix n - y 60 1 pickup\n  -o receive_override_options=no_address_mappings\n',
      },
      'x@a.test',
      'x@a.test',
    ],
  ];
  it.each(rows)('%s', (_, given, from, wanted) => {
    expect(through(given, from)).toBe(wanted);
  });

  const map = 'canonical_maps = inline:{@a.test=@b.test}\n';
  const far = {address: '203.0.113.5', authenticated: false};
  it.each<readonly [string, string, typeof far | undefined, string]>([
    ['a stranger', map, far, 'x@a.test'],
    ['somebody', map, undefined, 'unknown'],
    ['a client on this host', map, {...far, address: '127.0.0.1'}, 'x@b.test'],
    [
      'a stranger with remote_header_rewrite_domain',
      `${map}remote_header_rewrite_domain = domain.invalid\n`,
      far,
      'x@b.test',
    ],
    ['a client in mynetworks, which are not asked', `${map}mynetworks = 203.0.113.0/24\n`, far, 'x@a.test'],
    [
      'a client in mynetworks',
      `${map}mynetworks = 203.0.113.0/24\nlocal_header_rewrite_clients = permit_mynetworks\n`,
      far,
      'x@b.test',
    ],
    [
      'a client elsewhere',
      `${map}mynetworks = 192.0.2.0/24\nlocal_header_rewrite_clients = permit_mynetworks\n`,
      far,
      'x@a.test',
    ],
    [
      'networks in a table',
      `${map}mynetworks = hash:/n\nlocal_header_rewrite_clients = permit_mynetworks\n`,
      far,
      'unknown',
    ],
    [
      'a client without login',
      `${map}local_header_rewrite_clients = permit_sasl_authenticated\n`,
      far,
      'x@a.test',
    ],
    [
      'a client with login',
      `${map}local_header_rewrite_clients = permit_sasl_authenticated\n`,
      {...far, authenticated: true},
      'x@b.test',
    ],
    ['everybody', `${map}local_header_rewrite_clients = static:all\n`, far, 'x@b.test'],
  ])('by SMTP: %s', (_, main, by, wanted) => {
    expect(through({main}, 'x@a.test', 'smtp/inet', by)).toBe(wanted);
  });

  const here = {address: '127.0.0.1', authenticated: false};
  const told = 'smtpd_authorized_xforward_hosts = 127.0.0.0/8\n';
  const quiet = 'local_header_rewrite_clients =\n';
  const back = `${SCAN}${BACK}`;
  it.each<readonly [string, Given, string, string]>([
    ['a bare name', {main: FILTER, master: back}, 'alice', 'alice@mail.example.com'],
    [
      'a bare name, though addresses are not mapped',
      {main: FILTER, master: SCAN + SILENT},
      'alice',
      'alice@mail.example.com',
    ],
    ['canonical_maps', {main: FILTER + map, master: back}, 'x@a.test', 'x@b.test'],
    ['no_address_mappings', {main: FILTER + map, master: SCAN + SILENT}, 'x@a.test', 'x@a.test'],
    [
      'canonical_maps of the service that it comes back to',
      {
        main: FILTER,
        master: `${back}  -o cleanup_service_name=second\nsecond unix n - y - 0 cleanup\n  -o ${map.replaceAll(' = ', '=')}`,
      },
      'x@a.test',
      'x@b.test',
    ],
    [
      'local_header_rewrite_clients of the service that it comes back to',
      {main: FILTER, master: `${back}  -o local_header_rewrite_clients=\n`},
      'alice',
      'alice',
    ],
    [
      'a filter that calls sendmail(1)',
      {
        main: `${ON}${quiet}content_filter = spam\n`,
        master: 'spam unix - n n - - pipe\n  flags=Rq user=a argv=/usr/sbin/sendmail -i\n',
      },
      'alice',
      'alice@mail.example.com',
    ],
    ['a filter that may tell of a stranger', {main: FILTER + told, master: back}, 'alice', 'unknown'],
    [
      'a filter that may tell of a stranger, of no effect',
      {main: FILTER + told, master: back},
      'a@example.com',
      'a@example.com',
    ],
    ['... where nothing is rewritten', {main: FILTER + told + quiet, master: back}, 'alice', 'alice'],
    [
      'a filter that may tell, from elsewhere',
      {main: `${FILTER}smtpd_authorized_xforward_hosts = 192.0.2.1\n`, master: back},
      'alice',
      'alice@mail.example.com',
    ],
    [
      'a filter before the queue',
      {main: `${ON}smtpd_proxy_filter = 127.0.0.1:10024\n`, master: `${BACK}  -o smtpd_proxy_filter=\n`},
      'alice',
      'alice@mail.example.com',
    ],
  ])('on the way back: %s', (_, given, from, wanted) => {
    expect(through(given, from, 'smtp/inet', far)).toBe(from);
    expect(through(given, from, 'smtp/inet', here, 1)).toBe(wanted);
  });

  it.each<readonly [string, string, typeof far | undefined, string]>([
    ['a stranger', 'remote_header_rewrite_domain = domain.invalid\n', far, 'alice@domain.invalid'],
    [
      'a client on this host',
      'remote_header_rewrite_domain = domain.invalid\n',
      here,
      'alice@mail.example.com',
    ],
    ['somebody', 'remote_header_rewrite_domain = domain.invalid\n', undefined, 'unknown'],
    ['a stranger without it', '', far, 'alice'],
  ])('a bare name with remote_header_rewrite_domain: %s', (_, main, by, wanted) => {
    expect(through({main}, 'alice', 'smtp/inet', by)).toBe(wanted);
  });

  it('is nothing where a filter comes before the queue', () => {
    const main = `${ON}smtpd_proxy_filter = 127.0.0.1:10024\n`;
    expect(passOf({main, master: `${BACK}  -o smtpd_proxy_filter=\n`}, 'smtp/inet').rewrites).toEqual([]);
  });

  it('keeps apart ways back that rewrite in another way, where milters see it', () => {
    const other = `${BACK.replace('10025', '10026')}  -o local_header_rewrite_clients=\n`;
    const silent = '  -o smtpd_milters=\n';
    const isOpen = (master: string): boolean =>
      entranceOf({main: FILTER, master: SCAN + master}, 'smtp/inet').isPassUncertain;
    expect(isOpen(BACK + other)).toBe(true);
    expect(isOpen(BACK + BACK.replace('10025', '10026'))).toBe(false);
    expect(isOpen(BACK + silent + other + silent)).toBe(false);
  });

  it('counts for bounces, whatever the options say', () => {
    const main = `${map}receive_override_options = no_address_mappings\n`;
    expect(through({main}, 'MAILER-DAEMON@a.test', 'bounce')).toBe('MAILER-DAEMON@b.test');
    expect(through({main}, 'x@a.test', 'local')).toBe('x@a.test');
  });

  it('names its setting', () => {
    const [, rule] = passOf({main: map}, 'local').rewrites;
    expect(rule === undefined ? '' : placeOf(rule.decision)).toBe('main.cf:3 canonical_maps');
  });
});

describe('remarks on the ways of mail', () => {
  const told = (given: Given): readonly string[] =>
    remarksOn(waysOf(given), '/etc/postfix').map(({id, message}) => `${id}: ${message}`);

  it('names a service with a list of its own, but no way back and nothing that is signed there', () => {
    const silent = 'submission inet n - y - - smtpd\n  -o smtpd_milters=\n';
    expect(told({main: ON, master: silent})).toEqual([
      'postfix.override: submission/inet in master.cf has smtpd_milters=, so no milter sees mail on port 587.',
    ]);
    const after = 'smtp inet n - y - - smtpd\n  -o receive_override_options=no_milters\n';
    const ids = told({main: FILTER, master: SCAN + BACK + after}).map(each => each.split(':', 1)[0]);
    expect(ids).toEqual(['postfix.content-filter']);
    // How mail comes back is not known: then nothing is said of the way in.
    const open = told({main: FILTER, master: SCAN + after}).map(each => each.split(':', 1)[0]);
    expect(open).toEqual(['postfix.content-filter']);
    expect(told({main: FILTER, master: SCAN + SILENT}).map(each => each.split(':', 1)[0])).toEqual([
      'postfix.content-filter',
    ]);
  });

  it('names a setting of cleanup once, though it decides for several entrances', () => {
    const master = `cleanup unix n - y - 0 cleanup\n  -o non_smtpd_milters=\n628 inet n - y - - qmqpd\n`;
    expect(told({main: ON, master})).toEqual([
      'postfix.override: cleanup/unix in master.cf has non_smtpd_milters=, so no milter sees mail by QMQP on 628.',
    ]);
  });

  it('says nothing of an option that decides nothing', () => {
    const master = 'pickup unix n - y 60 1 pickup\n  -o non_smtpd_milters=\n';
    expect(told({main: ON, master})).toEqual([]);
  });

  it('says that no milter sees any mail, once', () => {
    expect(told({main: `${ON}receive_override_options = no_milters\n`})).toEqual([
      'postfix.milters-off: receive_override_options in main.cf has no_milters, so no milter sees any mail and nothing is signed.',
    ]);
  });

  it('names what changes mail on delivery, with its lines', () => {
    const main = `${ON}smtp_generic_maps = hash:/g\nsmtp_header_checks = regexp:/r\n`;
    const tables = {'regexp:/r': '/^Received:/ IGNORE\n'};
    expect(told({main, tables})).toEqual([
      'postfix.rewrites-later: Postfix changes mail on delivery, after it was signed: smtp_generic_maps (/etc/postfix/main.cf line 5). If that touches the body or a signed header, the signature breaks.',
    ]);
  });
});
