"""The local stack: emulator, DNS, mailbox simulator and the front that joins them."""
