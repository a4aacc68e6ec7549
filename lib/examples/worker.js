// SPDX-License-Identifier: MIT
//
// A worker in JavaScript, for Node.js alone: Command=/usr/bin/node worker.js, Handlers=count
'use strict';
const fs = require('fs');
const net = require('net');

// A handler gets its arguments, may say how far it is, and ends early when `signal` is aborted.
const handlers = Object.assign(Object.create(null), {
  async count(args, progress, signal) {
    for (let i = 0; i < args.to && !signal.aborted; i++) {
      progress(i / args.to);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    signal.throwIfAborted();
    return { counted: args.to || 0, args, pid: process.pid };
  },
});

const INTERFACE = 'io.brood.Worker';
const cancels = {}; // of runs, by id and attempt: a Cancel may be read before its Run
const cancelOf = (p) => (cancels[`${p.id} ${p.attempt}`] ??= new AbortController());
let running = 0;
let leaving = false;

async function run({ id, attempt, handler, args }, more, say) {
  if (!handlers[handler]) {
    return say({ error: `${INTERFACE}.NoSuchHandler`, parameters: { handler } });
  }
  const { signal } = cancelOf({ id, attempt });
  const progress = (x) => more && say({ continues: true, parameters: { progress: x } });
  try {
    say({ parameters: { result: await handlers[handler](args, progress, signal) } });
  } catch (e) {
    say({ error: `${INTERFACE}.HandlerFailed`, parameters: { message: `${e.message || e}` } });
  }
  delete cancels[`${id} ${attempt}`];
}

const methods = {
  [`${INTERFACE}.Prepare`]: (p) => ({ handlers: p.handlers.filter((h) => handlers[h]) }),
  [`${INTERFACE}.Cancel`]: (p) => { cancelOf(p).abort(); return {}; },
  [`${INTERFACE}.Leave`]: () => { leaving = true; return {}; },
  'org.varlink.service.GetInfo': () => ({ vendor: 'example', product: 'worker', version: '1',
    url: '', interfaces: ['org.varlink.service', INTERFACE] }),
  'org.varlink.service.GetInterfaceDescription': () => ({ description: fs.readFileSync(
    process.env.BROOD_INTERFACE || `/usr/share/brood/${INTERFACE}.varlink`, 'utf8') }),
};

// The calls of one connection, one after the other.
async function serve(connection) {
  const say = (message) => connection.write(`${JSON.stringify(message)}\0`);
  let pieces = [];
  for await (const chunk of connection) {
    const [first, ...rest] = chunk.toString('latin1').split('\0');
    pieces.push(first);
    for (const piece of rest) {
      const call = JSON.parse(Buffer.from(pieces.join(''), 'latin1').toString());
      pieces = [piece];
      if (call.method === `${INTERFACE}.Run`) {
        running++;
        await run(call.parameters, call.more, say);
        running--;
      } else if (methods[call.method]) {
        say({ parameters: methods[call.method](call.parameters || {}) });
      } else {
        say({ error: 'org.varlink.service.MethodNotFound', parameters: { method: call.method } });
      }
    }
    if (leaving && running === 0) connection.end(() => process.exit(0));
  }
}

// The supervisor has made its connections before we were started; when one closes, it is gone.
net.createServer((connection) => {
  connection.on('close', () => process.exit(0)).on('error', () => process.exit(0));
  serve(connection);
}).listen({ fd: 3 });
