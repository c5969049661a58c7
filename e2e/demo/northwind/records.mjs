// Northwind's rows as records of module crm. Pure: the same rows and tenant give the same records and ids.
import { createHash } from 'node:crypto';

/** The text of a decimal as a whole number of 10^-places. Exact; more digits than that are an error. */
export function units(text, places) {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(text));
  const fraction = match?.[3] ?? '';
  if (!match || fraction.length > places) throw new Error(`not a decimal with ${places} places: ${text}`);
  const value = BigInt(match[2] + fraction.padEnd(places, '0'));
  return match[1] ? -value : value;
}

/** A whole number of cents as text with two places. */
export function money(cents) {
  const digits = String(cents < 0n ? -cents : cents).padStart(3, '0');
  return `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** Cents of an order: price × quantity × (1 − discount) over its lines, added up exactly, then rounded half up. */
export function amountOf(lines) {
  let sum = 0n; // in 10^-4: price and discount have two places each
  for (const line of lines) sum += units(line.UnitPrice, 2) * BigInt(line.Quantity) * (100n - units(line.Discount, 2));
  return (sum + 50n) / 100n;
}

/**
 * An id that a second run computes again: the layout of a UUIDv7 with the day's milliseconds in front, so that
 * ids sort by day, and with a hash where a fresh id has random bits.
 */
export function stableId(day, ...names) {
  const bytes = createHash('sha256').update(JSON.stringify(names)).digest().subarray(0, 16);
  bytes.writeUIntBE(Date.parse(`${day}T00:00:00Z`), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Northwind knows shipping, a CRM knows stages. */
function stageOf(order) {
  if (!order.ShippedDate) return 'open';
  return order.ShippedDate <= order.RequiredDate ? 'won' : 'late';
}

const FIRST_DAY = '2012-07-01'; // before the first order; customers have no date of their own

/** `{companies, contacts, deals}` for a tenant: customers of `countries` (all when null) and their orders. */
export function recordsFor(tenant, data, countries) {
  const linesOf = new Map(data.Orders.map((order) => [order.Id, []]));
  for (const line of data.OrderDetails) linesOf.get(line.OrderId).push(line);
  const customers = data.Customers.filter((c) => !countries || countries.includes(c.Country));
  const companyId = (code) => stableId(FIRST_DAY, tenant, 'company', code);
  const contactId = (code) => stableId(FIRST_DAY, tenant, 'contact', code);
  const names = new Map(customers.map((c) => [c.Id, c.CompanyName]));

  const companies = customers.map((c) => ({
    id: companyId(c.Id), code: c.Id, name: c.CompanyName, country: c.Country, city: c.City, phone: c.Phone,
    address: { street: c.Address, region: c.Region, postalCode: c.PostalCode, fax: c.Fax },
  }));
  const contacts = customers.map((c) => ({
    id: contactId(c.Id), name: c.ContactName, job_title: c.ContactTitle, phone: c.Phone, company_id: companyId(c.Id),
  }));
  const deals = data.Orders.filter((o) => names.has(o.CustomerId)).map((o) => {
    const lines = linesOf.get(o.Id);
    const tags = [];
    if (o.ShipCountry === 'USA') tags.push('domestic');
    if (lines.some((line) => line.Discount > 0)) tags.push('discounted');
    return {
      id: stableId(o.OrderDate, tenant, 'deal', o.Id), title: `${names.get(o.CustomerId)} #${o.Id}`, order_number: o.Id,
      amount: money(amountOf(lines)), stage: stageOf(o), company_id: companyId(o.CustomerId),
      contact_id: contactId(o.CustomerId), ordered_on: o.OrderDate, due_on: o.RequiredDate,
      shipped_on: o.ShippedDate ?? null, tags,
      extra: { lines: lines.length, freight: o.Freight, shipTo: { city: o.ShipCity, country: o.ShipCountry } },
    };
  });
  return { companies, contacts, deals };
}

/** What analytics must answer for these records, computed from the files alone. */
export function totalsOf({ companies, contacts, deals }) {
  const group = (keyOf) => {
    const groups = {};
    for (const deal of deals) {
      const entry = (groups[keyOf(deal)] ??= { count: 0, cents: 0n });
      entry.count += 1;
      entry.cents += units(deal.amount, 2);
    }
    const named = Object.entries(groups).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(named.map(([k, v]) => [k, { count: v.count, amount: money(v.cents) }]));
  };
  return {
    companies: companies.length,
    contacts: contacts.length,
    deals: deals.length,
    amount: money(deals.reduce((sum, deal) => sum + units(deal.amount, 2), 0n)),
    byStage: group((deal) => deal.stage),
    byMonth: group((deal) => deal.ordered_on.slice(0, 7)),
  };
}
