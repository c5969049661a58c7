-- Who may see the fields that are marked sensitive.

alter table platform.permissions
  drop constraint permissions_action_check,
  add constraint permissions_action_check check (action in ('read', 'write', 'delete', 'sensitive'));
