// Preloaded beside an unmodified library that knows a host name only: its HTTPS connections go to
// 127.0.0.1 and the `port` of the order. Name, certificate check and request stay.
"use strict";

const https = require("node:https");

const order = JSON.parse(process.argv[2]);

https.globalAgent.defaultPort = order.port;
https.globalAgent.options.lookup = (host, options, callback) => {
  const found = { address: "127.0.0.1", family: 4 };
  if (options.all) {
    callback(null, [found]);
  } else {
    callback(null, found.address, found.family);
  }
};
