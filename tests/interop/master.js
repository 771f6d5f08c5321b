'use strict';
/* A process that shares a master key as npm's smart-redis does on the wire, commanded by JSON lines,
   one after the other.

       node master.js PORT|SOCKET
       -> {"ready":true}
       {"op":"start","key":"k","host":"there","check":1000}    it wants to be the master
       -> {"ok":true,"master":true}                            it is, or not yet
       {"op":"master"}
       -> {"ok":true,"master":false}
       {"op":"exit"}                                           as at exit, SIGINT and SIGTERM
       -> {"ok":true}
       {"op":"quit"}

   The wire, for the key K = CACHE_MASTER_KEY and the one that is given:
       start       CONFIG SET notify-keyspace-events KEA; SUBSCRIBE to deletions of K
                   SET K host EX 7200 NX: the master if it is set, or if K has this host already
       deletion    everybody: SET K host EX 7200 NX
       each check  GET K; if it is not there, the same
       exit        the master: DEL K, whoever's it is */

const session = require('./session.js');
const { Redis } = session.require('ioredis');

const LIFE_S = 7200;

const address = session.serverAddress();
const commands = new Redis({ ...address, lazyConnect: true });
const subscriptions = new Redis({ ...address, lazyConnect: true });

let key = null;
let host = null;
let isMaster = false;
let timer = null;

async function tryToBeMaster() {
    if (key === null) return;
    const wasSet = await commands.set(key, host, 'EX', LIFE_S, 'NX');
    isMaster = wasSet === 'OK' || (await commands.get(key)) === host;
}

async function check() {
    if (key !== null && (await commands.get(key)) === null) await tryToBeMaster();
}

async function start(request) {
    key = `CACHE_MASTER_KEY${request.key}`;
    host = request.host;
    await commands.config('SET', 'notify-keyspace-events', 'KEA');
    await subscriptions.subscribe(`__keyspace@0__:${key}`);
    subscriptions.on('message', (channel, event) => {
        if (event === 'del' || event === 'expired') tryToBeMaster().catch(() => {});
    });
    timer = setInterval(() => check().catch(() => {}), request.check);
    await tryToBeMaster();
}

async function exit() {
    const wasMaster = isMaster;
    const held = key;
    clearInterval(timer);
    key = null;
    isMaster = false;
    if (wasMaster) await commands.del(held);
}

async function perform(request) {
    if (request.op === 'start') await start(request);
    else if (request.op === 'exit') await exit();
    else if (request.op !== 'master') throw new Error('"op" must be "start", "master", "exit" or "quit"');
    return request.op === 'exit' ? { ok: true } : { ok: true, master: isMaster };
}

async function main() {
    for (const client of [commands, subscriptions]) {
        client.on('error', () => {}); /* the request that fails reports it */
        await client.connect();
    }
    session.serveInTurn(perform, () => {
        clearInterval(timer);
        commands.disconnect();
        subscriptions.disconnect();
    });
}

main().catch((error) => {
    process.stderr.write(`master.js: ${session.words(error)}\n`);
    process.exit(1);
});
