// Loads Northwind through the proxy's HTTP API and writes down what analytics must answer afterwards.
//
// usage: node load.mjs <totals.json>; from the environment SEPTEM_URL, and per tenant id and token:
// ACME, ACME_TOKEN, GLOBEX, GLOBEX_TOKEN.
import { writeFileSync } from 'node:fs';
import { Client } from './client.mjs';
import { northwind } from './package.mjs';
import { recordsFor, totalsOf } from './records.mjs';

const CONNECTIONS = 16; // per tenant; more does not help on two cores
const MODELS = ['companies', 'contacts', 'deals']; // in the order of their references

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Runs `work` on every item, `width` at once; the first failure stops the rest. */
async function eachOf(items, width, work) {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      try {
        await work(items[next++]);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}

class Progress {
  constructor(label, total) {
    Object.assign(this, { label, total, done: 0, counts: { created: 0, present: 0, restored: 0 }, from: Date.now(), shown: Date.now() });
  }

  tick(outcome) {
    this.done += 1;
    this.counts[outcome] += 1;
    const every = process.stdout.isTTY ? 100 : 2_000;
    if (Date.now() - this.shown < every) return;
    this.shown = Date.now();
    const line = `    ${this.label}: ${this.done}/${this.total}`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}` : `${line}\n`);
  }

  end() {
    const seconds = ((Date.now() - this.from) / 1000).toFixed(1);
    const { created, present, restored } = this.counts;
    const changed = restored ? `, ${restored} put right` : '';
    const line = `    ${this.label}: ${this.total} in ${seconds} s (${created} created, ${present} already there${changed})`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}\x1b[K\n` : `${line}\n`);
  }
}

async function load(name, client, records) {
  for (const model of MODELS) {
    const progress = new Progress(`${name} ${model}`, records[model].length);
    await eachOf(records[model], CONNECTIONS, async (record) => {
      progress.tick(await client.ensure(`/v1/data/crm/${model}`, record));
    });
    progress.end();
  }
}

async function main() {
  const [totalsFile] = process.argv.slice(2);
  if (!totalsFile) throw new Error('usage: node load.mjs <totals.json>');
  const url = need('SEPTEM_URL');
  const tenants = [
    { name: 'acme', id: need('ACME'), token: need('ACME_TOKEN'), countries: null },
    { name: 'globex', id: need('GLOBEX'), token: need('GLOBEX_TOKEN'), countries: ['Germany', 'France'] },
  ];
  const data = northwind();
  const totals = {};
  for (const tenant of tenants) {
    const records = recordsFor(tenant.id, data, tenant.countries);
    totals[tenant.name] = totalsOf(records);
    const client = new Client(url, tenant.token, CONNECTIONS);
    try {
      await load(tenant.name, client, records);
    } finally {
      client.close();
    }
  }
  writeFileSync(totalsFile, JSON.stringify(totals, null, 2));
}

main().catch((error) => {
  console.error(`load: ${error.message}`);
  process.exitCode = 1;
});
