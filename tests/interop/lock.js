'use strict';
/* Locks of npm's redlock and redis-semaphore, commanded by JSON lines. Requests are done one after the
   other. A lock is known by its kind and name until it is released.

       node lock.js PORT|SOCKET [PORT,PORT... of more servers]
       -> {"ready":true}
       {"op":"acquire","kind":"redlock","name":"job","ttl":30000,"wait":1000}
       {"op":"acquire","kind":"quorum","name":"job","ttl":30000,"wait":1000}      redlock over all servers
       {"op":"acquire","kind":"mutex","name":"job","ttl":30000,"wait":1000}       its key is mutex:job
       {"op":"acquire","kind":"semaphore","name":"pool","ttl":30000,"wait":1000,"limit":2}
                                                                                  its key is semaphore:pool
       -> {"ok":true}             held
       -> {"ok":false}            not within `wait` ms
       {"op":"extend","kind":"redlock","name":"job","ttl":60000}                  redlock alone
       -> {"ok":true}             or {"ok":false}: it is not held any more
       {"op":"release","kind":"redlock","name":"job"}
       -> {"ok":true}             or {"ok":false}: it was not held any more, where the package says so
       {"op":"quit"}
       -> {"ok":true}

   A request that fails otherwise is answered with {"ok":false,"error":"..."}. Nothing renews itself. */

const session = require('./session.js');
const { Redis } = session.require('ioredis');
const Redlock = session.require('redlock');
const { Mutex, Semaphore, TimeoutError } = session.require('redis-semaphore');

const RETRY_MS = 10;

const client = new Redis({ ...session.serverAddress(), lazyConnect: true });
const others = (process.argv[3] || '')
    .split(',')
    .filter((address) => address)
    .map((address) => new Redis(session.serverAddress(address)));
const held = new Map();

function options(request) {
    return {
        lockTimeout: request.ttl,
        acquireTimeout: request.wait || 1,
        retryInterval: RETRY_MS,
        refreshInterval: 0,
    };
}

async function acquireRedlock(request, clients) {
    const redlock = new Redlock(clients, {
        retryCount: Math.ceil((request.wait || 0) / RETRY_MS),
        retryDelay: RETRY_MS,
        retryJitter: 0,
    });
    const lock = await redlock.lock(request.name, request.ttl);
    return {
        extend: (ttl) => lock.extend(ttl),
        release: () => lock.unlock(),
    };
}

async function acquireOther(lock) {
    await lock.acquire();
    return { release: () => lock.release() };
}

async function acquire(request) {
    switch (request.kind) {
    case 'redlock':
        return acquireRedlock(request, [client]);
    case 'quorum':
        return acquireRedlock(request, [client, ...others]);
    case 'mutex':
        return acquireOther(new Mutex(client, request.name, options(request)));
    case 'semaphore':
        return acquireOther(new Semaphore(client, request.name, request.limit, options(request)));
    default:
        throw new Error('"kind" must be "redlock", "quorum", "mutex" or "semaphore"');
    }
}

/* Not held (any more), in each package's way; other errors are none of this. */
function isRefusal(error) {
    return error instanceof Redlock.LockError || error instanceof TimeoutError;
}

async function perform(request) {
    const id = `${request.kind} ${request.name}`;
    try {
        if (request.op === 'acquire') held.set(id, await acquire(request));
        else if (request.op === 'extend') await held.get(id).extend(request.ttl);
        else if (request.op === 'release') await held.get(id).release();
        else throw new Error('"op" must be "acquire", "extend", "release" or "quit"');
        return { ok: true };
    } catch (error) {
        if (isRefusal(error)) return { ok: false };
        throw error;
    }
}

async function main() {
    for (const each of [client, ...others])
        each.on('error', () => {}); /* the request that fails reports it */
    await client.connect();
    session.serveInTurn(perform, () => [client, ...others].forEach((each) => each.disconnect()));
}

main().catch((error) => {
    process.stderr.write(`lock.js: ${session.words(error)}\n`);
    process.exit(1);
});
