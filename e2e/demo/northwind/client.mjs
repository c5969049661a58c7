// One tenant's connection to the API: keep-alive, a bounded number of requests at once, retries that are safe.
import { Agent, request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

const ATTEMPTS_MAX = 6;
const REQUEST_MS_MAX = 15_000;

export class Client {
  /** `connections` is also the number of requests in flight. */
  constructor(url, token, connections) {
    this.url = url;
    this.token = token;
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  close() {
    this.agent.destroy();
  }

  /** One exchange: `{status, headers, text}`. Rejects when no whole answer came. */
  exchange(method, path, body) {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${this.token}` };
      const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
      if (payload) Object.assign(headers, { 'content-type': 'application/json', 'content-length': payload.length });
      const sent = request(new URL(path, this.url), { method, headers, agent: this.agent, timeout: REQUEST_MS_MAX }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', reject);
        answer.on('aborted', () => reject(new Error('the answer was cut off')));
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
      });
      sent.on('timeout', () => sent.destroy(new Error(`no answer in ${REQUEST_MS_MAX / 1000} s`)));
      sent.on('error', reject);
      sent.end(payload);
    });
  }

  /** Tries again after a lost connection, 429 or 503: every record carries its id, so a repeat writes nothing twice. */
  async send(method, path, body) {
    for (let attempt = 1; ; attempt += 1) {
      let outcome;
      try {
        const answer = await this.exchange(method, path, body);
        if (answer.status !== 429 && answer.status !== 503) return answer;
        outcome = `${answer.status} ${answer.text}`;
      } catch (error) {
        outcome = error.message;
      }
      if (attempt === ATTEMPTS_MAX) throw new Error(`${method} ${path} failed ${attempt} times, last: ${outcome}`);
      await wait(100 * 2 ** attempt);
    }
  }

  /** Creates the record, finds it as it is to be, or puts it right: `created`, `present` or `restored`. */
  async ensure(path, record) {
    const { id, ...fields } = record;
    const created = await this.send('POST', path, record);
    if (created.status === 201) return 'created';
    // A conflict may be about the id or about another unique field; only the id itself says that it is this record.
    const found = created.status === 409 ? await this.send('GET', `${path}/${id}`) : created;
    if (found.status === 200) {
      if (holds(JSON.parse(found.text).data, fields)) return 'present';
      const patched = await this.send('PATCH', `${path}/${id}`, fields);
      if (patched.status === 200) return 'restored';
    }
    throw new Error(`POST ${path} answered ${created.status}: ${created.text}\n  record: ${JSON.stringify(record)}`);
  }
}

/** Whether a stored record has these values. Decimals are sent as text and come back as numbers. */
function holds(stored, fields) {
  return Object.entries(fields).every(([name, value]) => {
    const other = stored[name] ?? null;
    if (typeof value === 'string' && typeof other === 'number') return Number(value) === other;
    return canonical(value ?? null) === canonical(other);
  });
}

function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}
