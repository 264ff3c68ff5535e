"""The stages of the data flow, a module each: functions of Arrow tables without Ray, which `dataset` runs."""
