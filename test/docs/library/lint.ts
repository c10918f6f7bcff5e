import {lintKeyRecord} from '../../../src/dkim/index.ts';

for (const {severity, message, fix} of lintKeyRecord(['v=DKIM1; k=rsa; t=y; p=AAAA', 'v=spf1 -all']))
  console.log(severity, message, fix);
