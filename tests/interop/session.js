'use strict';
/* What the programs of this folder share: npm packages from build/interop (tests/setup.sh puts them
   there), where the server listens, and JSON lines on standard input and output. */

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

const installed = path.resolve(__dirname, '../../build/interop');

/* The server's address from the command line: a port on 127.0.0.1, or the path of a Unix socket. */
function serverAddress(address = process.argv[2]) {
    if (!address) {
        process.stderr.write(`usage: node ${path.basename(process.argv[1])} PORT|SOCKET\n`);
        process.exit(2);
    }
    return /^\d+$/.test(address) ? { host: '127.0.0.1', port: Number(address) } : { path: address };
}

function answer(object) {
    process.stdout.write(JSON.stringify(object) + '\n');
}

function words(error) {
    return String((error && error.message) || error);
}

/* Say that we are ready, then call `onRequest(request)` for each line, without waiting for the one
   before. Ends the process after the answer to {"op":"quit"}, or when the input ends; then
   `onEnd` may close what is open. */
function serve(onRequest, onEnd) {
    const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
    let isEnding = false;

    async function end(last) {
        if (isEnding) return;
        isEnding = true;
        lines.close();
        await onEnd();
        if (last) answer(last);
        /* Everything is closed; what still waits for an answer must not keep us. */
        process.stdout.write('', () => process.exit(0));
    }

    lines.on('line', (line) => {
        if (isEnding || line.trim() === '') return;
        let request;
        try {
            request = JSON.parse(line);
        } catch (error) {
            answer({ ok: false, error: words(error) });
            return;
        }
        if (request.op === 'quit') end({ ok: true });
        else onRequest(request);
    });
    lines.on('close', () => end(null));
    answer({ ready: true });
}

/* The same, one request after the other: each is answered with what `perform(request)` resolves to. */
function serveInTurn(perform, onEnd) {
    let turn = Promise.resolve();
    serve(
        (request) => {
            turn = turn
                .then(() => perform(request))
                .then(answer, (error) => answer({ ok: false, error: words(error) }));
        },
        async () => {
            await turn;
            onEnd();
        }
    );
}

module.exports = {
    require: createRequire(path.join(installed, 'package.json')),
    serverAddress,
    answer,
    words,
    serve,
    serveInTurn,
};
