"""A database in a container for as long as a test takes, with testcontainers.

usage: DOCKER_HOST=unix://SOCKET postgres.py
"""

import psycopg
from testcontainers.community.postgres import PostgresContainer


def main():
    with PostgresContainer("postgres:15", username="ada", password="secret", dbname="lab") as database:
        url = database.get_connection_url(driver=None)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE note (id serial PRIMARY KEY, text varchar NOT NULL)")
            with connection.cursor().copy("COPY note (text) FROM STDIN") as copy:
                for number in range(10_000):
                    copy.write_row([f"note {number}"])
            connection.commit()
        with psycopg.connect(url) as connection:
            (version,) = connection.execute("SHOW server_version").fetchone()
            found = connection.execute("SELECT count(*), max(id), current_user FROM note").fetchone()
        print(version)
        print(*found)
        code, output = database.exec(["psql", "-U", "ada", "-d", "lab", "-Atc", "SELECT text FROM note WHERE id = 42"])
        print(code, output.decode().strip())


main()
