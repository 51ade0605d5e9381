// Sends with @atech/postal as its own page shows; prints what came back, or the refusal.
"use strict";

const Postal = require("@atech/postal");

const order = JSON.parse(process.argv[2]);
const client = new Postal.Client(order.host, order.key);

function letter() {
  const message = new Postal.SendMessage(client);
  order.to.forEach((address) => message.to(address));
  message.from(order.from);
  message.subject(order.subject);
  message.tag("from-node");
  message.plainBody("Hello from node, grün.");
  message.htmlBody("<p>Hello from node, grün.</p>");
  message.header("X-Own", "yes");
  message.attach("textmessage.txt", "text/plain", "Hello world!");
  return message;
}

function raw() {
  const message = new Postal.SendRawMessage(client);
  message.mailFrom(order.from);
  order.to.forEach((address) => message.rcptTo(address));
  message.data(`From: ${order.from}\r\nSubject: ${order.subject}\r\n\r\nraw\r\n`);
  return message;
}

(order.raw ? raw() : letter()).send().then(
  (result) => {
    const found = {};
    for (const [address, message] of Object.entries(result.recipients())) {
      found[address] = { id: message.id(), token: message.token() };
    }
    process.stdout.write(JSON.stringify({ recipients: found }));
  },
  (refusal) => process.stdout.write(JSON.stringify({ refusal })),
);
