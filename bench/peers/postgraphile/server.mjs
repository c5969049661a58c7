// PostGraphile over the benchmark's schema. The tenant comes from a header and no token is checked, which is in its
// favour; its transactions set app.tenant_id as everybody's do.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  // Else only indexed columns may be conditions, and deletedAt is none.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["bench", "bench_peer"],
      poolConfig: { max: Number(process.env.POOL) },
    }),
  ],
  // What a production server of it turns off.
  grafast: {
    explain: false,
    context: (ctx) => ({ pgSettings: { "app.tenant_id": ctx.node?.req.headers["x-tenant-id"] ?? "" } }),
  },
  grafserv: { graphiql: false, watch: false },
});
const serv = instance.createServ(grafserv);
const server = createServer();
await serv.addTo(server);
const handlers = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (req, res) => {
  if (req.url === "/ready") res.end("{}");
  else for (const handle of handlers) handle(req, res);
});
server.listen(Number(process.env.PORT), "127.0.0.1");
