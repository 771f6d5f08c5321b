'use strict';
/* The two usual node clients of Redis, commanded by JSON lines. Keys and values are in base64, so that
   they may hold any bytes. Requests are done one after the other.

       node client.js PORT|SOCKET
       -> {"ready":true}
       {"op":"set","client":"redis","key":"aw==","value":"dg==","px":60000}   px may be absent
       -> {"ok":true}
       {"op":"get","client":"ioredis","key":"aw=="}
       -> {"ok":true,"value":"dg=="}              or null
       {"op":"ttl","client":"redis","key":"aw=="}
       -> {"ok":true,"ttl":59998}                 as PTTL answers
       {"op":"del","client":"ioredis","key":"aw=="}
       -> {"ok":true,"count":1}
       {"op":"quit"}
       -> {"ok":true}

   A request that fails is answered with {"ok":false,"error":"..."}. */

const session = require('./session.js');
const { createClient, RESP_TYPES } = session.require('redis');
const { Redis } = session.require('ioredis');

const address = session.serverAddress();

/* Both behind the same four functions. */
function withIoredis() {
    const client = new Redis({ ...address, lazyConnect: true, maxRetriesPerRequest: 3 });
    client.on('error', () => {}); /* the request that fails reports it */
    return {
        open: () => client.connect(),
        end: () => client.disconnect(),
        set: (key, value, px) =>
            px === undefined ? client.set(key, value) : client.set(key, value, 'PX', px),
        get: (key) => client.getBuffer(key),
        ttl: (key) => client.pttl(key),
        del: (key) => client.del(key),
    };
}

function withRedis() {
    const plain = createClient({ socket: { ...address } });
    plain.on('error', () => {});
    const client = plain.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    return {
        open: () => plain.connect(),
        end: () => plain.destroy(),
        set: (key, value, px) =>
            client.set(key, value, px === undefined ? {} : { expiration: { type: 'PX', value: px } }),
        get: (key) => client.get(key),
        ttl: (key) => client.pTTL(key),
        del: (key) => client.del(key),
    };
}

const clients = { redis: withRedis(), ioredis: withIoredis() };

function bytes(text, field) {
    if (typeof text !== 'string') throw new Error(`"${field}" is missing`);
    return Buffer.from(text, 'base64');
}

async function perform(request) {
    const client = Object.hasOwn(clients, request.client) ? clients[request.client] : null;
    if (!client) throw new Error('"client" must be "redis" or "ioredis"');
    const key = bytes(request.key, 'key');
    switch (request.op) {
    case 'set':
        await client.set(key, bytes(request.value, 'value'), request.px);
        return { ok: true };
    case 'get': {
        const value = await client.get(key);
        return { ok: true, value: value === null ? null : value.toString('base64') };
    }
    case 'ttl':
        return { ok: true, ttl: Number(await client.ttl(key)) };
    case 'del':
        return { ok: true, count: Number(await client.del(key)) };
    default:
        throw new Error('"op" must be "set", "get", "ttl", "del" or "quit"');
    }
}

async function main() {
    await Promise.all(Object.values(clients).map((client) => client.open()));
    session.serveInTurn(perform, () => Object.values(clients).forEach((client) => client.end()));
}

main().catch((error) => {
    process.stderr.write(`client.js: ${session.words(error)}\n`);
    process.exit(1);
});
