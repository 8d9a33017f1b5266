// What ioredis sees of a server.

import { readFileSync } from "node:fs";
import Redis from "ioredis";
import { play, refusal, where } from "./scenarios.mjs";

function connect() {
  const { path, host, port, password, ca } = where;
  const tls = ca ? { tls: { ca: readFileSync(ca) } } : {};
  const client = new Redis({ ...(path ? { path } : { host, port }), ...tls, password, connectionName: "node" });
  client.on("error", (error) => {
    throw error;
  });
  return client;
}

const scenarios = {
  async values(client) {
    return [
      await client.set("k", "v"),
      await client.get("k"),
      await client.get("nothing"),
      await client.set("k", "w", "NX"),
      await client.mset({ a: "1", b: "2" }),
      await client.mget("a", "b", "nothing"),
      await client.exists("a", "a", "nothing"),
      await client.incr("a"),
      await client.incrby("a", 40),
      await client.del("a", "nothing"),
      await client.append("k", "☂"),
      await client.strlen("k"),
      await client.getdel("k"),
      await client.setnx("b", "3"),
      await client.type("b"),
      await client.ttl("b"),
      await client.dbsize(),
      await client.ping(),
    ];
  },

  async bytes(client) {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const large = Buffer.concat(Array(4096).fill(every)); // 1 MiB
    await client.set(every, large);
    const back = await client.getBuffer(every);
    return [back.length, back.equals(large)];
  },

  async pipelined(client) {
    const pipeline = client.pipeline();
    for (let number = 0; number < 1000; number++) pipeline.set(`key:${number}`, number).get(`key:${number}`);
    const answers = await pipeline.exec();
    const wanted = (index) => (index % 2 ? `${(index - 1) / 2}` : "OK");
    const wrong = answers.filter(([error, answer], index) => error || answer !== wanted(index));
    return [answers.length, wrong, await client.dbsize()];
  },

  async transactions(client) {
    await client.set("text", "x");
    const failed = await client.multi().set("a", "1").incr("text").set("b", "2").exec();
    return [
      await client.multi().set("n", "1").incr("n").get("n").exec(),
      failed.map(([error, answer]) => error?.message ?? answer),
      await refusal(client.multi().set("c", "1").call("NONSENSE").exec()),
      await client.get("c"),
    ];
  },

  async watched(client) {
    const other = connect();
    await client.watch("k");
    await other.set("k", "other");
    const disturbed = await client.multi().set("k", "mine").exec();
    await client.watch("k");
    const undisturbed = await client.multi().set("k", "mine").exec();
    await other.quit();
    return [disturbed, undisturbed, await client.get("k")];
  },

  async walk(client) {
    await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, number) => [`key:${number}`, ""])));
    const keys = [];
    for await (const page of client.scanStream({ count: 70 })) keys.push(...page);
    const matching = [];
    for await (const page of client.scanStream({ match: "key:29*" })) matching.push(...page);
    return [keys.length, new Set(keys).size, matching.sort()];
  },

  async errors(client) {
    await client.set("text", "x");
    return [
      await refusal(client.lpush("list", "1")),
      await refusal(client.incr("text")),
      await refusal(client.set("k", "v", "EX", 10)),
      await client.ping(),
    ];
  },

  async about(client) {
    return [
      await client.client("GETNAME"),
      await client.config("GET", "databases"),
      (await client.info("keyspace")).split("\r\n").slice(0, 3),
      (await client.command("COUNT")) > 60,
      await client.call("KVS.SCAN", "", "", "LIMIT", "1"),
    ];
  },
};

await play(connect, (client) => client.flushall(), (client) => client.quit(), scenarios);
