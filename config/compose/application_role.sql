-- The role the fleet logs in as. The migrations find it there and give it its rights.
create role chukta_app login password 'sandbox-app';
