'use strict';
/* A process that shares computations over Redis as npm's @jpwilliams/distributed-promise does on the
   wire, commanded by JSON lines. Any number of calls may be under way.

       node promise.js PORT|SOCKET [OPTIONS]
       -> {"ready":true}
       {"op":"call","id":1,"name":"report","args":["foo",1],"work_ms":200,"result":{"rows":3}}
       -> {"id":1,"worked":true,"result":{"rows":3}}     its own work
       -> {"id":1,"worked":false,"result":{"rows":3}}    found, or another's work
       {"op":"keys","id":2,"name":"report","args":["foo",1]}
       -> {"id":2,"data":"...","lock":"...","channel":"..."}
       {"op":"quit"}
       -> {"ok":true}

   A call that fails is answered with {"id":1,"error":"..."}. With "throws":true the work throws, and
   then, as with the original, the call is never answered and the lock stays until it expires.

   OPTIONS is a JSON object with any of the package's settings, below with their defaults.

   The wire, for the key K = name:sigmund(args):
       everybody   GET prefix:K. A value that is not falsy is the result. Else
                   SET prefix:lock:K 1 PX lockTimeout NX
       the owner   works, then MULTI; PSETEX prefix:K ttl json; PUBLISH prefix:notif:K json; EXEC,
                   and leaves the lock to expire
       the others  SUBSCRIBE prefix:notif:K; GET prefix:K once more; wait for the message, without
                   ever trying to become the owner */

const { setTimeout: sleep } = require('node:timers/promises');
const session = require('./session.js');
const { Redis } = session.require('ioredis');
const sigmund = session.require('sigmund');

const options = {
    lockTimeout: 30000, /* ms */
    ttl: 1800000, /* ms */
    timeout: 0, /* ms that a waiter waits; 0: for ever */
    keyPrefix: 'distributed-promise',
    lockPrefix: 'lock',
    notifPrefix: 'notif',
    keySeperator: ':', /* so spelled in the package */
    ...JSON.parse(process.argv[3] || '{}'),
};

const address = session.serverAddress();
const commands = new Redis({ ...address, lazyConnect: true });
const subscriptions = new Redis({ ...address, lazyConnect: true });

/* Channel to the set of those who wait for its next message. */
const waiters = new Map();

function keysOf(name, args) {
    const key = [name, sigmund(args)];
    const join = (...parts) => [options.keyPrefix, ...parts, ...key].join(options.keySeperator);
    return { data: join(), lock: join(options.lockPrefix), channel: join(options.notifPrefix) };
}

/* The stored result, or null: what is falsy does not count as found. */
async function find(keys) {
    const json = await commands.get(keys.data);
    return (json && JSON.parse(json)) || null;
}

async function work(keys, request) {
    await sleep(request.work_ms || 0);
    if (request.throws) await new Promise(() => {});
    const json = JSON.stringify(request.result);
    const replies = await commands
        .multi()
        .psetex(keys.data, options.ttl, json)
        .publish(keys.channel, json)
        .exec();
    for (const [error] of replies) if (error) throw error;
    return request.result;
}

/* A promise of the channel's next message, from the moment that the server has confirmed the
   subscription. `stop` must be called in the end. */
async function listen(channel) {
    const others = waiters.get(channel) || new Set();
    let deliver;
    const message = new Promise((resolve) => {
        deliver = resolve;
    });
    const stop = () => {
        others.delete(deliver);
        if (others.size > 0 || waiters.get(channel) !== others) return;
        waiters.delete(channel);
        subscriptions.unsubscribe(channel).catch(() => {});
    };
    waiters.set(channel, others.add(deliver));
    try {
        await subscriptions.subscribe(channel);
    } catch (error) {
        stop();
        throw error;
    }
    return { message, stop };
}

async function wait(keys) {
    const { message, stop } = await listen(keys.channel);
    const giveUp = new AbortController();
    try {
        const found = await find(keys);
        if (found !== null) return found;
        const ends = [message.then((json) => JSON.parse(json))];
        if (options.timeout > 0)
            ends.push(
                sleep(options.timeout, null, { signal: giveUp.signal }).then(() => {
                    throw new Error('timed out while waiting for another process');
                })
            );
        return await Promise.race(ends);
    } finally {
        giveUp.abort();
        stop();
    }
}

async function call(request) {
    const keys = keysOf(request.name, request.args || []);
    const found = await find(keys);
    if (found !== null) return { worked: false, result: found };
    const grant = await commands.set(keys.lock, '1', 'PX', options.lockTimeout, 'NX');
    if (grant === 'OK') return { worked: true, result: await work(keys, request) };
    return { worked: false, result: await wait(keys) };
}

function perform(request) {
    const { id } = request;
    if (request.op === 'call')
        call(request).then(
            (outcome) => session.answer({ id, ...outcome }),
            (error) => session.answer({ id, error: session.words(error) })
        );
    else if (request.op === 'keys') session.answer({ id, ...keysOf(request.name, request.args || []) });
    else session.answer({ id, error: '"op" must be "call", "keys" or "quit"' });
}

async function main() {
    commands.on('error', () => {}); /* the call that fails reports it */
    subscriptions.on('error', () => {});
    subscriptions.on('message', (channel, json) => {
        for (const deliver of waiters.get(channel) || []) deliver(json);
    });
    await Promise.all([commands.connect(), subscriptions.connect()]);
    session.serve(perform, async () => {
        commands.disconnect();
        subscriptions.disconnect();
    });
}

main().catch((error) => {
    process.stderr.write(`promise.js: ${session.words(error)}\n`);
    process.exit(1);
});
