// SPDX-License-Identifier: MIT
//
// The handlers of diag.so in JavaScript, for the table of models: what a job is promised does not
// depend on who runs it. The worker around them is lib/examples/worker.js, and says more of a run.
'use strict';
const fs = require('fs');
const net = require('net');
const timers = require('timers/promises');

const INTERFACE = 'io.brood.Worker';
const LONGEST = 2 ** 31 - 1; // milliseconds of one timer

// What a handler throws to say itself how it failed: an error of the interface.
class Failure extends Error {
  constructor(name, parameters) {
    super(parameters.message);
    Object.assign(this, { name, parameters });
  }
}

function milliseconds(seconds) {
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= 1e9)) {
    const message = "'seconds' has to be a number from 0 to 1e9";
    throw new Failure('BadArguments', { message });
  }
  return seconds * 1000;
}

// A handler gets its arguments, what it may say meanwhile, and `signal`, aborted to end it.
const handlers = Object.assign(Object.create(null), {
  echo: (args) => args,

  async sleep({ seconds }, say, signal) {
    for (let left = milliseconds(seconds); left > 0; left -= LONGEST) {
      await timers.setTimeout(Math.min(left, LONGEST), null, { signal });
    }
    return { seconds };
  },

  spin({ seconds }) { // nothing else runs meanwhile: it hears nothing
    const end = performance.now() + milliseconds(seconds);
    while (performance.now() < end);
    return { seconds };
  },

  crash({ signal = 'SEGV' }) {
    fs.writeSync(2, `diag: crash by ${signal}\n`);
    process.kill(process.pid, `SIG${signal}`);
    throw new Error(`signal ${signal} did not end the worker`);
  },

  fail({ message = 'diag: fail', retry = true, details }) {
    throw new Failure('HandlerFailed', { message, retry, details });
  },

  async progress({ steps }, say, signal) {
    for (let i = 1; i <= steps; i++) {
      say({ progress: i / steps });
      await timers.setImmediate(null, { signal }); // or a cancel would not be heard
    }
    return { steps };
  },

  output({ stdout, stderr, times = 1 }, say) {
    for (let i = 0; i < times; i++) {
      say({ output: { stream: 'stdout', data: stdout } });
      say({ output: { stream: 'stderr', data: stderr } });
    }
    return { times };
  },
});

const cancels = new Map(); // of runs, by id and attempt
let running = 0;
let leaving = false;

// Two connections are read in any order: a Cancel may come before its Run.
function cancelOf({ id, attempt }) {
  const key = `${id} ${attempt}`;
  if (!cancels.has(key)) cancels.set(key, new AbortController());
  return cancels.get(key);
}

async function answerTo(call, say) {
  const { id, attempt, handler, args } = call.parameters;
  if (!handlers[handler]) return { error: `${INTERFACE}.NoSuchHandler`, parameters: { handler } };
  const more = (parameters) => call.more && say({ continues: true, parameters });
  try {
    const { signal } = cancelOf({ id, attempt });
    return { parameters: { result: await handlers[handler](args, more, signal) } };
  } catch (e) {
    const { name, parameters } = e instanceof Failure ? e
      : new Failure('HandlerFailed', { message: `${e.message || e}` });
    return { error: `${INTERFACE}.${name}`, parameters };
  } finally {
    cancels.delete(`${id} ${attempt}`);
  }
}

const methods = {
  [`${INTERFACE}.Prepare`]: (p) => ({ handlers: p.handlers.filter((h) => handlers[h]) }),
  [`${INTERFACE}.Cancel`]: (p) => { cancelOf(p).abort(); return {}; },
  [`${INTERFACE}.Leave`]: () => { leaving = true; return {}; },
};

// The calls of one connection, one after the other.
async function serve(connection) {
  const say = (message) => connection.write(`${JSON.stringify(message)}\0`);
  let rest = '';
  for await (const chunk of connection.setEncoding('utf8')) {
    const pieces = (rest + chunk).split('\0');
    rest = pieces.pop();
    for (const call of pieces.map((piece) => JSON.parse(piece))) {
      running++;
      say(call.method === `${INTERFACE}.Run` ? await answerTo(call, say)
        : { parameters: methods[call.method](call.parameters) });
      running--;
    }
    if (leaving && running === 0) connection.end(() => process.exit(0));
  }
}

// The supervisor has made its connections before we were started; when one closes, it is gone.
net.createServer((connection) => {
  connection.on('close', () => process.exit(0)).on('error', () => process.exit(0));
  serve(connection);
}).listen({ fd: 3 });
