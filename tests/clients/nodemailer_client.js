// Sends over SMTP with nodemailer: TLS, login, one message with everything in it, or one to each
// of `order.each` at once through a pool. `transport` and `message` change its options.
"use strict";

const nodemailer = require("nodemailer");

const order = JSON.parse(process.argv[2]);
const transport = nodemailer.createTransport({
  host: order.host,
  port: order.port,
  requireTLS: true,
  authMethod: order.method,
  auth: { user: order.user, pass: order.password },
  ...order.transport,
});

const message = (to) => ({
  from: order.from,
  to,
  subject: order.subject,
  text: ".dot first\nthen grün",
  html: "<p>grün</p>",
  attachments: [{ filename: "grün.txt", content: order.attached || "Hello world!" }],
  ...order.message,
});

const told = ({ accepted, response }) => ({ accepted, reply: response });
const failed = (error) => ({ code: error.code, reply: error.response });
const send = (to) => transport.sendMail(message(to)).then(told, failed);

Promise.all((order.each || [order.to]).map(send)).then((answers) => {
  transport.close();
  process.stdout.write(JSON.stringify(order.each ? { answers } : answers[0]));
});
