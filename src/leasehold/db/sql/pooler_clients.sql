show clients
