"""The submission server: mail in by SMTP from programs that have a credential."""
