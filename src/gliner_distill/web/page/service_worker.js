// Keeps all files of the site, so that it works without a network after the first visit.

const VERSION = "SITE_VERSION";
const FILES = ["SITE_FILES"];

self.addEventListener("install", (event) => {
  const load = async () => {
    const cache = await caches.open(VERSION);
    // Past the browser's own cache, which may hold files of an earlier version.
    await cache.addAll(FILES.map((name) => new Request(name, { cache: "no-cache" })));
    await self.skipWaiting();
  };
  event.waitUntil(load());
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("gliner-distill ") && name !== VERSION) await caches.delete(name);
    }
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const answer = async () => {
    const cache = await caches.open(VERSION);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  if (event.request.method === "GET") event.respondWith(answer());
});
