'use strict';
/* What users of node's two clients do, on the embedded server:

       node server.js PORT|SOCKET */

const assert = require('node:assert');
const session = require('./session.js');
const { createClient } = session.require('redis');
const { Redis } = session.require('ioredis');

const address = session.serverAddress();

async function withIoredis() {
    const client = new Redis({ ...address, maxRetriesPerRequest: 1 });
    const listener = new Redis({ ...address, maxRetriesPerRequest: 1 });

    assert.strictEqual(await client.set('k', 'v', 'PX', 60000), 'OK');
    assert.strictEqual(await client.get('k'), 'v');
    assert.strictEqual(await client.set('k', 'w', 'NX'), null);
    await assert.rejects(client.lpush('k', 'x'), /WRONGTYPE/);
    await client.hset('h', { a: '1', b: '2' });
    assert.deepStrictEqual(await client.hgetall('h'), { a: '1', b: '2' });
    await client.zadd('z', 1, 'one', 2.5, 'two');
    assert.deepStrictEqual(await client.zrange('z', 0, -1, 'WITHSCORES'), ['one', '1', 'two', '2.5']);
    const replies = await client.multi().incr('n').incr('n').exec();
    assert.deepStrictEqual(replies, [[null, 1], [null, 2]]);
    const many = client.pipeline();
    for (let i = 0; i < 1000; i++) many.set(`scan:${i}`, i);
    assert.strictEqual((await many.exec()).length, 1000);
    const seen = new Set();
    for await (const keys of client.scanStream({ match: 'scan:*', count: 100 })) keys.forEach((key) => seen.add(key));
    assert.strictEqual(seen.size, 1000);

    const told = new Promise((resolve) => listener.on('message', (channel, text) => resolve([channel, text])));
    await listener.subscribe('news');
    assert.strictEqual(await client.publish('news', 'hello'), 1);
    assert.deepStrictEqual(await told, ['news', 'hello']);
    await client.flushall();
    await Promise.all([client.quit(), listener.quit()]);
}

async function withRedis() {
    const client = createClient({ socket: { ...address } });
    client.on('error', () => {}); /* the call that fails reports it */
    await client.connect();
    const second = await client.duplicate().connect();

    assert.strictEqual(await client.set('k', 'v', { expiration: { type: 'PX', value: 60000 } }), 'OK');
    assert.strictEqual(await client.get('k'), 'v');
    assert.strictEqual(await client.getEx('k', { type: 'EX', value: 100 }), 'v');
    await client.hSet('h', { a: '1', b: '2' });
    assert.deepStrictEqual({ ...(await client.hGetAll('h')) }, { a: '1', b: '2' });
    await client.zAdd('z', [{ score: 1, value: 'one' }, { score: 2.5, value: 'two' }]);
    assert.strictEqual(await client.zScore('z', 'two'), 2.5);
    assert.deepStrictEqual(await client.multi().incr('n').incr('n').exec(), [1, 2]);
    const waiting = second.blPop('q', 10);
    await client.rPush('q', 'x');
    assert.deepStrictEqual({ ...(await waiting) }, { key: 'q', element: 'x' });
    const id = await client.xAdd('x', '*', { field: 'value' });
    assert.strictEqual((await client.xRange('x', '-', '+'))[0].id, id);

    let tell;
    const told = new Promise((resolve) => { tell = resolve; });
    await second.pSubscribe('ne*', (text, channel) => tell([channel, text]));
    await client.publish('news', 'hello'); /* or destroy rejects its reply */
    assert.deepStrictEqual(await told, ['news', 'hello']);
    await second.pUnsubscribe('ne*');
    client.destroy();
    second.destroy();
}

withIoredis()
    .then(withRedis)
    .catch((error) => {
        process.stderr.write(`server.js: ${error.stack}\n`);
        process.exitCode = 1;
        process.exit();
    });
