# One image for web, worker, beat and migrate; docker-compose.yml says how each is started.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install -r requirements.txt

FROM python:3.11-slim
RUN groupadd --gid 10001 svoykrug && useradd --uid 10001 --gid svoykrug --no-create-home --shell /usr/sbin/nologin svoykrug
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY gunicorn.conf.py ./
COPY svoykrug svoykrug
COPY loyalty loyalty
COPY promos promos
COPY events events
COPY analytics analytics
COPY templates templates
COPY static static
COPY locale locale
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SVOYKRUG_ENV=production
# File names get their content's hash; no server and no real key is needed for that.
RUN python -m compileall -q . && python manage.py collectstatic --noinput --skip-checks
USER svoykrug
EXPOSE 8000
CMD ["gunicorn", "svoykrug.wsgi", "--bind", "0.0.0.0:8000", "--workers", "3", "--worker-tmp-dir", "/tmp", "--no-control-socket"]
