-- Every key is lost with it: senders are locked out until each has a new one.
DROP TABLE api_keys;
