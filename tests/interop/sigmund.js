'use strict';
/* For each line of standard input, a JSON array, the answer of npm's sigmund as a JSON string. */

const fs = require('node:fs');
const session = require('./session.js');
const sigmund = session.require('sigmund');

const answers = fs
    .readFileSync(0, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.stringify(sigmund(JSON.parse(line))) + '\n');
fs.writeFileSync(1, answers.join(''));
