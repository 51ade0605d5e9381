// Sends over SMTP with nodemailer: STARTTLS required, login, one message with everything in it.
"use strict";

const nodemailer = require("nodemailer");

const order = JSON.parse(process.argv[2]);
const transport = nodemailer.createTransport({
  host: order.host,
  port: order.port,
  requireTLS: true,
  authMethod: order.method,
  auth: { user: order.user, pass: order.password },
});

transport
  .sendMail({
    from: order.from,
    to: order.to,
    subject: order.subject,
    text: ".dot first\nthen grün",
    html: "<p>grün</p>",
    attachments: [{ filename: "grün.txt", content: "Hello world!" }],
  })
  .then(
    ({ accepted, response }) => process.stdout.write(JSON.stringify({ accepted, reply: response })),
    (error) => process.stdout.write(JSON.stringify({ code: error.code, reply: error.response })),
  );
